package fault

// Kinds of the outbox.
var (
	JobUnknown = Define("outbox-job-unknown", 404,
		Words{"there is no open job {job} in the outbox", "送信待ちのジョブ {job} はありません"},
		Words{"list the parked jobs again; it may have been done or dropped meanwhile", "保留中のジョブをもう一度一覧してください。すでに完了または取り消された可能性があります"})
	GaveUp = Define("outbox-gave-up", 504,
		Words{"{attempts} attempts over {span} failed, no more are made", "{span} の間に {attempts} 回試みましたが失敗したため、再試行を終了しました"},
		Words{"find out with the counterpart why it could not be reached, then retry or start anew", "相手方に到達できなかった原因を確認し、再試行するか、新しくやり直してください"})
	GivenUp = Define("outbox-given-up", 409,
		Words{"people of the sender gave the message up after {attempts} attempts over {span}", "送信側の担当者が {span} の間に {attempts} 回の試行の後、メッセージの送信を取りやめました"},
		Words{"start anew when the counterpart can be reached", "相手方に到達できるようになってから、新しくやり直してください"})
	HandlerMissing = Define("outbox-handler-missing", 501,
		Words{"nothing on this node does jobs of kind {kind}", "このノードには種類 {kind} のジョブを処理する機能がありません"},
		Words{"switch the service on again that wrote the job, or start a version that knows it, then retry the job", "このジョブを作成したサービスを再び有効にするか、対応するバージョンで起動してから再試行してください"})
)
