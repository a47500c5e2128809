package fault

// Kinds of the transfer process.
var (
	FormatNotOffered = Define("format-not-offered", 400,
		Words{"dataset {dataset} is not offered as {format}; it is as {formats}", "データセット {dataset} は {format} 形式では提供されていません（提供形式: {formats}）"},
		Words{"ask for one of the formats of the catalogue", "カタログに示された形式のいずれかを指定してください"})
	AddressNotAllowed = Define("data-address-not-allowed", 400,
		Words{"a request for the pull format {format} carries a data address", "プル形式 {format} の要求にデータアドレスが含まれています"},
		Words{"leave dataAddress out; the start message brings ours", "dataAddress を省いてください。当方のアドレスは開始メッセージで通知します"})
	AddressMissing = Define("data-address-missing", 400,
		Words{"a transfer by push needs the address to deliver to", "プッシュ形式の転送には、配信先のアドレスが必要です"},
		Words{"send dataAddress with the request", "要求に dataAddress を含めて送ってください"})
	AddressUnusable = Define("data-address-unusable", 400,
		Words{"nothing can be delivered to this data address: {reason}", "このデータアドレスには配信できません: {reason}"},
		Words{"name an absolute http or https URL as endpoint, or as the property baseUrl, with POST or PUT", "endpoint またはプロパティ baseUrl に http または https の絶対 URL を指定し、メソッドは POST か PUT にしてください"})
	NoAccess = Define("no-access", 409,
		Words{"transfer {transfer} gives no access in state {state}", "状態 {state} の転送 {transfer} ではアクセスできません"},
		Words{"wait for the start message or start a new transfer", "開始メッセージを待つか、新しい転送を開始してください"})
)
