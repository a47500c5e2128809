package fault

// Limits of one counterpart.
var (
	TooManyOpen = Define("too-many-open", 429,
		Words{"you hold {limit} processes open here, which is the most", "こちらで開いているプロセスが上限の {limit} 件に達しています"},
		Words{"finish or terminate some, then ask again", "いくつかを完了または終了してから、改めて要求してください"})
	TooFast = Define("too-fast", 429,
		Words{"more than {limit} messages a second came from you", "送信されたメッセージが毎秒 {limit} 件を超えています"},
		Words{"wait as long as Retry-After says, then send it again", "Retry-After の時間だけ待ってから再送してください"})
	TooManyRequests = Define("too-many-requests", 429,
		Words{"more than {limit} requests a second came from your network address", "同じネットワークアドレスからのリクエストが毎秒 {limit} 件を超えています"},
		Words{"wait as long as Retry-After says, then send it again", "Retry-After の時間だけ待ってから再送してください"})
	TooSlow = Define("too-slow", 408,
		Words{"the message did not arrive whole within {within}", "メッセージ全体が {within} 以内に届きませんでした"},
		Words{"send it again at once and without a break", "途切れさせずに、もう一度送信してください"})
	NotInTime = Define("not-in-time", 503,
		Words{"the answer was not ready within {within}", "{within} 以内に応答を用意できませんでした"},
		Words{"try again: a repeat has no second effect; if it stays, its operator finds the cause in the database, the disk or the log", "もう一度お試しください。同じ要求を繰り返しても二重には処理されません。解消しない場合は、運用者がデータベース、ディスク、ログを確認してください"})
	TooBusy = Define("too-busy", 503,
		Words{"the node is at work on {limit} requests, which is the most", "同時に処理できる要求の上限（{limit} 件）に達しています"},
		Words{"wait as long as Retry-After says, then send it again", "Retry-After の時間だけ待ってから再送してください"})
)
