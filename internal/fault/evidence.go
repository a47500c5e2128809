package fault

// Kinds of the evidence log and of its offline verifier.
var (
	LogRolledBack = Define("log-rolled-back", 500,
		Words{"the evidence log of {participant} is older than a checkpoint that it has signed: {reason}", "{participant} の証跡ログが、署名済みのチェックポイントより古い状態に戻っています: {reason}"},
		Words{"put back the newest copy of the database; the node will not sign a second history", "最新のデータベースを復元してください。食い違う履歴にノードが署名することはありません"})
	LogDamaged = Define("log-damaged", 500,
		Words{"the evidence log of {participant} does not agree with its own checkpoint: {reason}", "{participant} の証跡ログが自身のチェックポイントと一致しません: {reason}"},
		Words{"keep a copy of the database for examination, then put back an undamaged one", "調査用にデータベースの写しを保全したうえで、損傷のないものを復元してください"})
	LogHole = Define("log-hole", 500,
		Words{"the evidence log of {participant} has no event at position {position}; the next is at {next}", "{participant} の証跡ログの位置 {position} に事象がありません。次の事象は位置 {next} にあります"},
		Words{"keep a copy of the database for examination, then put back an undamaged one", "調査用にデータベースの写しを保全したうえで、損傷のないものを復元してください"})
	LogOrder = Define("log-order", 500,
		Words{"in the evidence log of {participant}, version {version} of {process} stands before an earlier one", "{participant} の証跡ログで、{process} のバージョン {version} が、それより前のバージョンより先に記録されています"},
		Words{"this is a mistake of the program; report it with the node's log", "プログラムの不具合です。ノードのログを添えて報告してください"})
	LogVersion = Define("log-version", 500,
		Words{"in the evidence log of {participant}, an event of {process} is missing between its versions {before} and {version}", "{participant} の証跡ログで、{process} のバージョン {before} と {version} の間の事象が欠けています"},
		Words{"keep a copy of the database for examination, then put back an undamaged one", "調査用にデータベースの写しを保全したうえで、損傷のないものを復元してください"})
	BodyMissing = Define("body-missing", 500,
		Words{"the content {digest} that the event {event} of {participant} names is not kept", "{participant} の事象 {event} が参照する内容 {digest} が保存されていません"},
		Words{"keep a copy of the database for examination, then put back an undamaged one", "調査用にデータベースの写しを保全したうえで、損傷のないものを復元してください"})
	BodyDamaged = Define("body-damaged", 500,
		Words{"the content {digest} of {participant} cannot be opened, or is not what its digest says", "{participant} の内容 {digest} を復号できないか、ダイジェストと一致しません"},
		Words{"see that the node has its own master key; else put back an undamaged copy of the database", "ノード本来のマスターキーが使われているか確認し、正しい場合は、損傷のないデータベースを復元してください"})
	BadLeaf = Define("bad-leaf", 500,
		Words{"an event cannot be put on record: {reason}", "事象を証跡に記録できません: {reason}"},
		Words{"this is a mistake of the program; report it with the node's log", "プログラムの不具合です。ノードのログを添えて報告してください"})
	NoEvidence = Define("no-evidence", 404,
		Words{"there is nothing on record for {what}", "{what} に関する証跡はありません"},
		Words{"check the id of the agreement; only what this participant recorded itself can be exported", "契約の ID を確認してください。書き出せるのは、この参加者自身が記録したものに限られます"})
	BundleTooLarge = Define("bundle-too-large", 413,
		Words{"the evidence selected does not fit into one bundle: {reason}", "選択した証跡は一つのバンドルに収まりません: {reason}"},
		Words{"export fewer processes at a time", "対象のプロセスを減らし、分けて書き出してください"})
	BadTrust = Define("bad-trust-file", 400,
		Words{"the trust file is not valid at {place}: {reason}", "信頼ファイルの {place} が正しくありません: {reason}"},
		Words{"write one anchor a line: \"log VKEY [DID]\" or \"key DID KID JWK\"", "1 行に 1 件ずつ、「log VKEY [DID]」または「key DID KID JWK」の形式で記述してください"})
)
