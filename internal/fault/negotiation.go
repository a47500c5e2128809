package fault

// Kinds of the contract negotiation.
var (
	WrongState = Define("invalid-transition", 400,
		Words{"{message} is not allowed in state {state}", "状態 {state} では {message} を受け付けられません"},
		Words{"read the state of the process and send what may follow it", "プロセスの状態を確認し、その状態で許されるメッセージを送ってください"})
	TermsDiffer = Define("terms-differ", 400,
		Words{"the terms requested are not those of offer {offer}: {reason}", "要求された条件がオファー {offer} の条件と異なります: {reason}"},
		Words{"request the terms as the catalogue shows them", "カタログに示された条件のまま要求してください"})
	OfferOfAnother = Define("offer-of-another-dataset", 400,
		Words{"offer {offer} is not for the target {target}", "オファー {offer} は対象 {target} のものではありません"},
		Words{"take offer and target from the same dataset of the catalogue", "カタログの同じデータセットからオファーと対象を指定してください"})
	AgreementRefused = Define("agreement-refused", 400,
		Words{"the agreement is not what was asked for: {reason}", "契約の内容が要求と一致しません: {reason}"},
		Words{"start a new negotiation; this one is terminated", "この交渉は打ち切られました。新しい交渉を開始してください"})
	OtherProcess = Define("other-process", 400,
		Words{"{pid} is not the process that this one is bound to", "{pid} は、このプロセスに対応付けられたプロセスではありません"},
		Words{"send it with the pids of the first answer", "最初の応答で示された pid を付けて送ってください"})
	BadCallback = Define("bad-callback-address", 400,
		Words{"the callback address cannot be used: {reason}", "コールバックアドレスを使用できません: {reason}"},
		Words{"give an absolute https URL without user, query and fragment", "ユーザー情報、クエリ、フラグメントを含まない https の絶対 URL を指定してください"})
	NotYourTurn = Define("not-your-turn", 409,
		Words{"the process in state {state} does not wait for {message} from us", "状態 {state} のプロセスは、こちらからの {message} を待っていません"},
		Words{"look at the process again; it may have moved", "プロセスが進んだ可能性があります。最新の状態を確認してください"})
	DecidedOn = Define("decided-on-an-older-version", 409,
		Words{"process {process} has moved since it was shown", "プロセス {process} は、表示された後に状態が変わっています"},
		Words{"look at it again, then decide", "最新の状態を確認してから判断してください"})
	KeyReused = Define("idempotency-key-reused", 409,
		Words{"the key {key} was used for another request", "キー {key} は別の要求で使用済みです"},
		Words{"use a new key for a new request", "新しい要求には新しいキーを使ってください"})
	PeerRefused = Define("peer-refused", 502,
		Words{"{counterparty} does not take our {message}: {reason}", "{counterparty} が {message} を受け付けません: {reason}"},
		Words{"ask the counterpart with the process id; then start again", "プロセス ID を添えて相手先に問い合わせ、改めて開始してください"})
)
