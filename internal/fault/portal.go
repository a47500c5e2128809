package fault

// What people meet in the portal.
var (
	ReasonMissing = Define("reason-missing", 422,
		Words{"no reason was given, or one longer than {max} characters", "理由が入力されていないか、{max} 文字を超えています"},
		Words{"write the reason in one sentence", "理由を 1 文で入力してください"})
	TermsUnreadable = Define("terms-unreadable", 422,
		Words{"what was written is no JSON object: {reason}", "入力された内容は JSON オブジェクトではありません: {reason}"},
		Words{"correct it there; quotation marks, commas and brackets are the usual cause", "該当箇所を修正してください。引用符、コンマ、括弧の誤りが主な原因です"})
	FormUnreadable = Define("form-unreadable", 400,
		Words{"the form could not be read", "フォームの内容を読み取れませんでした"},
		Words{"go back, reload the page and send it again", "前のページに戻って再読み込みし、もう一度送信してください"})
)
