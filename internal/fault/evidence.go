package fault

// Kinds of the evidence log and of its offline verifier.
var (
	LogRolledBack = Define("log-rolled-back", 500,
		Words{"the evidence log of {participant} is older than a checkpoint that it has signed: {reason}", "{participant} の証跡ログが、署名済みのチェックポイントより古い状態に戻っています: {reason}"},
		Words{"put back the newest copy of the database; the node will not sign a second history", "最新のデータベースを復元してください。食い違う履歴にノードが署名することはありません"})
	LogDamaged = Define("log-damaged", 500,
		Words{"the evidence log of {participant} does not agree with its own checkpoint: {reason}", "{participant} の証跡ログが自身のチェックポイントと一致しません: {reason}"},
		Words{"keep a copy of the database for examination, then put back an undamaged one", "調査用にデータベースの写しを保全したうえで、損傷のないものを復元してください"})
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
