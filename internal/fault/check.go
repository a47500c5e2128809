package fault

// What store check finds in kept tables that does not belong together. A node
// never writes such rows: something else changed them, or a disk lost some.
var (
	CheckBody = Define("check-body", 500,
		Words{"{what} {id} cannot be read: {reason}", "{what} {id} を読み取れません: {reason}"},
		Words{"bring the store back from a backup; until then the node refuses what needs this row", "バックアップから復元してください。それまで、この行を必要とする処理は拒否されます"})
	CheckNoLeaf = Define("check-process-without-leaves", 500,
		Words{"{what} {id} is not on record: it has no leaf in the evidence log", "{what} {id} の記録がありません。証跡ログにリーフが存在しません"},
		Words{"compare with a backup and with the counterpart {counterparty}, then end it with: kakehashi terminate {id}", "バックアップおよび相手方 {counterparty} の記録と照合し、kakehashi terminate {id} で打ち切ってください"})
	CheckNoProcess = Define("check-leaves-without-process", 500,
		Words{"the evidence log tells of {id} ({type}), which is not there", "証跡ログに {id}（{type}）の記録がありますが、対象が存在しません"},
		Words{"bring the store back from a backup; the log itself is whole and can be exported", "バックアップから復元してください。ログ自体は完全で、エクスポートできます"})
	CheckVersion = Define("check-version", 500,
		Words{"{what} {id} is at version {version}, the evidence log tells of {leaf}", "{what} {id} のバージョンは {version} ですが、証跡ログの記録は {leaf} です"},
		Words{"bring the store back from a backup, or compare with the counterpart {counterparty} and end it with: kakehashi terminate {id}", "バックアップから復元するか、相手方 {counterparty} の記録と照合し、kakehashi terminate {id} で打ち切ってください"})
	CheckNoAgreement = Define("check-agreement-missing", 500,
		Words{"{what} {id} rests on agreement {agreement}, which is not there", "{what} {id} の契約 {agreement} が存在しません"},
		Words{"bring the store back from a backup, or import the agreement: kakehashi import", "バックアップから復元するか、kakehashi import で契約を取り込んでください"})
	CheckWaiting = Define("check-waiting", 500,
		Words{"{what} {id} is listed as waiting for a decision, but it is {state}", "{what} {id} は判断待ちの一覧にありますが、状態は {state} です"},
		Words{"nothing waits for it; bring the store back from a backup if there is more like this", "判断は不要です。同様の行がほかにもある場合は、バックアップから復元してください"})
	CheckUnsent = Define("check-message-without-job", 500,
		Words{"{what} {id} has to send {message} and no job does it", "{what} {id} には未送信の {message} がありますが、送信するジョブがありません"},
		Words{"end it with: kakehashi terminate {id}", "kakehashi terminate {id} で打ち切ってください"})
	CheckJobGone = Define("check-job-without-process", 500,
		Words{"job {job} ({kind}) is for {id}, which is not there", "ジョブ {job}（{kind}）の対象 {id} が存在しません"},
		Words{"give it up: kakehashi work end {job}", "kakehashi work end {job} で取りやめてください"})
	CheckJobOver = Define("check-job-of-ended-process", 500,
		Words{"job {job} ({kind}) is for {id}, which is over and waits for nothing", "ジョブ {job}（{kind}）の対象 {id} は既に終了しています"},
		Words{"give it up: kakehashi work end {job}", "kakehashi work end {job} で取りやめてください"})
	CheckOwner = Define("check-owner-without-lease", 500,
		Words{"job {job} belongs to replica {owner}, which holds no lease", "ジョブ {job} を所有するレプリカ {owner} にはリースがありません"},
		Words{"a replica that serves takes it over within half a minute; check again then, and restart one if it stays", "稼働中のレプリカが 30 秒以内に引き継ぎます。その後もう一度検査し、解消しなければレプリカを 1 つ再起動してください"})
	CheckGrant = Define("check-grant-open", 500,
		Words{"grant {grant} is {state}, its transfer {id} is {over}", "アクセス権 {grant} は {state} のままですが、転送 {id} は {over} です"},
		Words{"end its agreement {agreement}, which closes it; what was handed out since is on record", "契約 {agreement} を終了すると閉じられます。これまでに提供したデータは記録されています"})
)
