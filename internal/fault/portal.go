package fault

// What people meet in the portal.
var (
	ReasonMissing = Define("reason-missing", 422,
		Words{"no reason was given, or one longer than {max} characters", "理由が入力されていないか、{max} 文字を超えています"},
		Words{"write in one sentence why the agreement ends", "契約を終了する理由を 1 文で入力してください"})
	FormUnreadable = Define("form-unreadable", 400,
		Words{"the form could not be read", "フォームの内容を読み取れませんでした"},
		Words{"go back, reload the page and send it again", "前のページに戻って再読み込みし、もう一度送信してください"})
)
