package fault

// What callers of a node's management API meet.
var (
	NodeUnreachable = Define("node-unreachable", 502,
		Words{"the node at {address} does not answer", "{address} のノードが応答しません"},
		Words{"start it with: kakehashi serve --config node.yaml", "kakehashi serve --config node.yaml で起動してください"})
	Unauthorized = Define("unauthorized", 401,
		Words{"no valid token or session", "有効なトークンまたはセッションがありません"},
		Words{"send Authorization: Bearer with an API token, or open a new portal link (kakehashi portal)", "API トークンを Authorization: Bearer で送るか、kakehashi portal で新しいリンクを開いてください"})
	CrossSite = Define("cross-site", 403,
		Words{"the request came from another site", "別のサイトから送られた要求です"},
		Words{"open the portal itself and do it there", "ポータルを直接開いて操作してください"})
	DatasetNotShown = Define("dataset-not-shown", 404,
		Words{"{partner} shows us no dataset {dataset}, or several of that title", "{partner} のカタログに {dataset} がないか、同じ題名のものが複数あります"},
		Words{"list what it shows with: kakehashi catalog {partner}", "kakehashi catalog {partner} で一覧を確認してください"})
	Terminated = Define("terminated", 409,
		Words{"{what} was terminated: {reason}", "{what} は打ち切られました: {reason}"},
		Words{"do what the reason names and start again", "理由に従って対処し、もう一度開始してください"})
	CannotWrite = Define("cannot-write", 507,
		Words{"cannot write {file}: {reason}", "{file} に書き込めません: {reason}"},
		Words{"free space, or choose another file with --out; what has arrived is kept beside it", "空き容量を確保するか、--out で別のファイルを指定してください。受信済みの部分は残っています"})
	DownloadBroken = Define("download-broken", 502,
		Words{"the download from {address} broke off after {bytes} bytes", "{address} からのダウンロードが {bytes} バイトで中断しました"},
		Words{"run the same command again: it goes on where it was", "同じコマンドをもう一度実行すると、続きから再開します"})
	DownloadRefused = Define("download-refused", 502,
		Words{"the provider answered {status}: {reason}", "提供者が {status} を返しました: {reason}"},
		Words{"do what the reason names, or start a new transfer", "示された理由に従って対処するか、転送をやり直してください"})
	DigestMismatch = Define("digest-mismatch", 502,
		Words{"what arrived has the digest {got}, announced was {want}", "受信内容のダイジェスト {got} が、通知された {want} と一致しません"},
		Words{"it was thrown away; run the same command again", "受信内容は破棄しました。同じコマンドをもう一度実行してください"})
	NoParticipant = Define("no-participant", 500,
		Words{"no node was made in {data}", "{data} にノードがまだ作成されていません"},
		Words{"make it with: kakehashi init", "kakehashi init で作成してください"})
	NodeExists = Define("node-exists", 409,
		Words{"a node exists already: {file}", "ノードは既に存在します: {file}"},
		Words{"start it with kakehashi serve, add a replica of it with kakehashi init --join, or choose another place", "kakehashi serve で起動するか、kakehashi init --join でレプリカを追加するか、別の場所を指定してください"})
	JoinDiffers = Define("join-differs", 409,
		Words{"the node there is {name}, {did}; the settings are those of {as}, {given}", "既存のノードは {name}（{did}）ですが、設定は {as}（{given}）のものです"},
		Words{"give participant and public_url the values that its first settings have", "participant と public_url を、既存のノードの設定と同じ値にしてください"})
	CannotListen = Define("cannot-listen", 500,
		Words{"cannot listen on {address} ({setting})", "{address} で待ち受けできません（{setting}）"},
		Words{"end the program that uses the address, or set {setting} to another one", "そのアドレスを使用中のプログラムを終了するか、{setting} に別のアドレスを設定してください"})
)
