package fault

// Kinds of the decision webhook.
var (
	WebhookRefused = Define("decision-webhook-refused", 502,
		Words{"the decision webhook answers {status}", "判断を問い合わせる Webhook が {status} を返しました"},
		Words{"see why in its log; until then the process waits for a decision in the portal", "Webhook 側のログで原因を確認してください。それまでの間、判断はポータルで行えます"})
	WebhookAnswer = Define("decision-webhook-answer", 502,
		Words{"the answer of the decision webhook is not understood: {reason}", "判断を問い合わせる Webhook の応答を解釈できません: {reason}"},
		Words{"answer 200 with decision, reason and policy as the API documents them, or 202 to decide later", "API 仕様の decision、reason、policy を付けて 200 を返すか、後で判断する場合は 202 を返してください"})
	SettingWebhook = Define("setting-webhook", 400,
		Words{"{place}: {name} is {value}, an address without TLS on another machine", "{place}: {name} の値 {value} は、TLS を使わない別マシンのアドレスです"},
		Words{"use https, or http to this machine only", "https を使ってください。http を使えるのは自マシン宛てに限ります"})
	SettingWebhookKey = Define("setting-webhook-key", 400,
		Words{"{place}: {name} is {value}, which is no file with a key of at least 32 characters", "{place}: {name} に指定された {value} は、32 文字以上の鍵を収めたファイルではありません"},
		Words{"make one, for example with  openssl rand -hex 32 > FILE , and give the webhook the same", "openssl rand -hex 32 > ファイル などで作成し、Webhook 側にも同じ鍵を設定してください"})
)
