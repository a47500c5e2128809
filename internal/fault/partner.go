package fault

// Kinds of counterparts and of the addresses that they name.
var (
	AddressRefused = Define("address-refused", 400,
		Words{"the address {address} is not called: {why}", "アドレス {address} には接続しません: {why}"},
		Words{"give an https address that is public, or let the node's operator allow this network", "公開された https アドレスを指定するか、ノードの運用者にこのネットワークを許可するよう依頼してください"})
	PartnerUnreachable = Define("partner-unreachable", 502,
		Words{"{address} does not answer", "{address} から応答がありません"},
		Words{"check the address, that the counterpart's node runs, and that this node may reach it over the network", "アドレスに誤りがないか、相手方のノードが稼働しているか、このノードからネットワーク的に到達できるかを確認してください"})
	PartnerNotDSP = Define("partner-not-dsp", 502,
		Words{"{address} is no data space connector: {reason}", "{address} はデータスペースのコネクターではありません: {reason}"},
		Words{"ask the counterpart for the root or base URL of its connector; its version document lies at /.well-known/dspace-version below the root", "コネクターのルート URL またはベース URL を相手方に確認してください。バージョン情報はルート直下の /.well-known/dspace-version にあります"})
	NoCommonVersion = Define("no-common-version", 502,
		Words{"{partner} does not speak Dataspace Protocol 2025-1 over HTTPS; it offers {offered}", "{partner} は HTTPS による Dataspace Protocol 2025-1 に対応していません（対応バージョン: {offered}）"},
		Words{"ask the counterpart to switch on 2025-1; nothing has been sent to it", "相手方に 2025-1 の有効化を依頼してください。相手方にはまだ何も送信していません"})
	PartnerNoService = Define("partner-no-service", 502,
		Words{"the DID document of {partner} names no catalogue service", "{partner} の DID ドキュメントにカタログサービスの記載がありません"},
		Words{"give the URL of its connector instead, or ask it to add a CatalogService entry", "代わりにコネクターの URL を指定するか、CatalogService の追加を相手方に依頼してください"})
	PartnerUnknown = Define("partner-unknown", 404,
		Words{"no counterpart is known as {name}", "{name} という名前の相手方は登録されていません"},
		Words{"give its DID (did:web:...) or the URL of its connector", "相手方の DID（did:web:...）またはコネクターの URL を指定してください"})
	PartnerName = Define("partner-name", 422,
		Words{"a counterpart cannot be called {name}", "相手方の名前として {name} は使えません"},
		Words{"give one line of at most 2048 bytes; a title is no DID and no URL", "2048 バイト以内で改行のない名前を指定してください。表示名に DID や URL は使えません"})
	PartnerAmbiguous = Define("partner-ambiguous", 409,
		Words{"more than one counterpart is known as {name}", "{name} という名前の相手方が複数あります"},
		Words{"give its DID or id instead: {known}", "名前の代わりに DID または ID を指定してください: {known}"})
)
