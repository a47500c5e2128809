package fault

// Settings: what is wrong with one, by name and by where it stands. The place
// is file:line, the environment variable or the flag.
var (
	SettingUnknown = Define("setting-unknown", 400,
		Words{"{place}: there is no setting {name}", "{place}: {name} という設定項目はありません"},
		Words{"remove it; kakehashi settings lists all of them", "削除してください。設定項目の一覧は kakehashi settings で確認できます"})
	SettingMisspelt = Define("setting-misspelt", 400,
		Words{"{place}: there is no setting {name}", "{place}: {name} という設定項目はありません"},
		Words{"did you mean {guess}? kakehashi settings lists all of them", "{guess} ではありませんか。設定項目の一覧は kakehashi settings で確認できます"})
	SettingTwice = Define("setting-twice", 400,
		Words{"{place}: {name} is set a second time, first in line {line}", "{place}: {name} が重複しています (最初の指定は {line} 行目)"},
		Words{"keep one of the two", "どちらか一方だけを残してください"})
	SettingEmpty = Define("setting-empty", 400,
		Words{"{place}: {name} has no value", "{place}: {name} に値がありません"},
		Words{"give it a value, or remove the line to take the default", "値を指定するか、その行を削除して既定値を使ってください"})
	SettingOneValue = Define("setting-one-value", 400,
		Words{"{place}: {name} is not written as one plain value", "{place}: {name} には単一の値を指定する必要があります"},
		Words{"write it as  {name}: value", "「{name}: 値」の形式で記述してください"})
	SettingList = Define("setting-list", 400,
		Words{"{place}: {name} is not written as a list of plain values", "{place}: {name} には値のリストを指定する必要があります"},
		Words{"write it as  {name}: [one, two]", "「{name}: [値1, 値2]」の形式で記述してください"})
	SettingBool = Define("setting-bool", 400,
		Words{"{place}: {name} is {value}; expected true or false", "{place}: {name} の値 {value} は使えません。true か false を指定します"},
		Words{"write true or false", "true または false と記述してください"})
	SettingChoice = Define("setting-choice", 400,
		Words{"{place}: {name} is {value}; expected one of {choices}", "{place}: {name} の値 {value} は使えません。{choices} のいずれかを指定します"},
		Words{"choose one of {choices}", "{choices} のいずれかを選んでください"})
	SettingName = Define("setting-name", 400,
		Words{"{place}: {name} is {value}; expected 1 to 63 of a-z, 0-9 and inner hyphens", "{place}: {name} の値 {value} は使えません。1～63 文字の英小文字・数字・ハイフン (両端を除く) で指定します"},
		Words{"choose a short name such as tokyo", "tokyo のような短い名前にしてください"})
	SettingText = Define("setting-text", 400,
		Words{"{place}: {name} is longer than {max} characters or holds control characters", "{place}: {name} が {max} 文字を超えているか、制御文字を含んでいます"},
		Words{"write one short line", "短い 1 行の文字列にしてください"})
	SettingAddress = Define("setting-address", 400,
		Words{"{place}: {name} is {value}; expected host:port", "{place}: {name} の値 {value} は使えません。「ホスト:ポート」の形式で指定します"},
		Words{"write for example 127.0.0.1:8080, or :8080 for every interface", "127.0.0.1:8080 のように記述してください。全インターフェースで待ち受ける場合は :8080 とします"})
	SettingURL = Define("setting-url", 400,
		Words{"{place}: {name} is {value}; expected an http or https URL with host and path only", "{place}: {name} の値 {value} は使えません。ホストとパスだけからなる http または https の URL を指定します"},
		Words{"write for example https://node.example.org", "https://node.example.org のように記述してください"})
	SettingStore = Define("setting-store", 400,
		Words{"{place}: {name} is no address of a database server", "{place}: {name} の値は、データベースサーバーのアドレスとして使えません"},
		Words{"write postgres://user@host:port/database; the options and files that it names must exist", "postgres://ユーザー@ホスト:ポート/データベース の形式で記述してください。オプションで指定したファイルも必要です"})
	SettingSize = Define("setting-size", 400,
		Words{"{place}: {name} is {value}; expected a size from {min} to {max}", "{place}: {name} の値 {value} は使えません。{min} から {max} までのサイズを指定します"},
		Words{"write bytes, or a number with KiB, MiB or GiB, such as 1MiB", "バイト数、または 1MiB のように KiB・MiB・GiB を付けた数値で記述してください"})
	SettingCount = Define("setting-count", 400,
		Words{"{place}: {name} is {value}; expected a number from {min} to {max}", "{place}: {name} の値 {value} は使えません。{min} から {max} までの整数を指定します"},
		Words{"write a whole number", "整数で記述してください"})
	SettingDuration = Define("setting-duration", 400,
		Words{"{place}: {name} is {value}; expected a time from {min} to {max}", "{place}: {name} の値 {value} は使えません。{min} から {max} までの時間を指定します"},
		Words{"write a number with a unit: 500ms, 30s, 15m, 24h or 90d", "500ms、30s、15m、24h、90d のように単位を付けて記述してください"})
	SettingNetwork = Define("setting-network", 400,
		Words{"{place}: {name} holds {value}; expected networks such as 10.0.0.0/8", "{place}: {name} の値 {value} は使えません。10.0.0.0/8 のようなネットワークを指定します"},
		Words{"write address and prefix length, with no bits behind the prefix", "アドレスとプレフィックス長で記述し、プレフィックスより後ろのビットは 0 にしてください"})
	SettingPath = Define("setting-path", 400,
		Words{"{place}: {name} is {value}, which is no usable path", "{place}: {name} の値 {value} はパスとして使えません"},
		Words{"write the path of a file or folder", "ファイルまたはフォルダーのパスを記述してください"})
	SettingFile = Define("setting-file", 400,
		Words{"{place}: {name} is {value}, which is no file that can be read", "{place}: {name} に指定された {value} は、読み取り可能なファイルではありません"},
		Words{"check the path and who may read it", "パスと読み取り権限を確認してください"})

	SettingTemplate = Define("setting-template", 400,
		Words{"{place}: {name} cannot be used: {reason}", "{place}: {name} を使用できません: {reason}"},
		Words{"write a text or a JSON object of strings with {self} and {counterparty}, or set identity_template_caller", "{self} と {counterparty} を含む文字列か文字列だけの JSON オブジェクトで記述するか、identity_template_caller を指定してください"})
	SettingTemplatePublic = Define("setting-template-public", 400,
		Words{"{place}: {name} is set for a node that others reach", "{place}: 外部から接続されるノードに {name} が指定されています"},
		Words{"remove it; only with development on this machine may a header stand for proof", "削除してください。ヘッダーを証明の代わりにできるのは、development を指定した自マシン内に限ります"})
	SettingPair = Define("setting-pair", 400,
		Words{"{place}: {name} is set, but {other} is not", "{place}: {name} だけが指定され、{other} が指定されていません"},
		Words{"set both, or neither", "両方とも指定するか、両方とも省略してください"})
	SettingTLSPair = Define("setting-tls-pair", 400,
		Words{"{place}: {name} is set, but {other} is not", "{place}: {name} だけが指定され、{other} が指定されていません"},
		Words{"set both tls_cert and tls_key, or neither", "tls_cert と tls_key は、両方とも指定するか、両方とも省略してください"})
	SettingSameAddress = Define("setting-same-address", 400,
		Words{"{place}: {name} is {value}, the same address as {other}", "{place}: {name} の値 {value} が {other} と同じアドレスです"},
		Words{"give each its own port: the management API never shares one with counterparts", "ポートを分けてください。管理 API が相手方向けのポートを共用することはありません"})
	SettingPublicURLMissing = Define("setting-public-url-missing", 400,
		Words{"{place}: public_url is not set, and it does not follow from listen {value}", "{place}: public_url が指定されておらず、listen の値 {value} からも決められません"},
		Words{"set public_url to the address at which counterparts reach this node", "相手方がこのノードに接続する際の URL を public_url に指定してください"})
	SettingNeedsHTTPS = Define("setting-needs-https", 400,
		Words{"{place}: {name} is {value}, but counterparts only trust https", "{place}: {name} の値 {value} は使えません。相手方が信頼するのは https だけです"},
		Words{"set it to an https address, or set development: true to try nodes out on this machine only", "https の URL を指定してください。このマシンだけで試す場合は development: true を指定します"})
	SettingDevelopment = Define("setting-development-public", 400,
		Words{"{place}: development is on, but {name} is {value}, not an http address of this machine", "{place}: development が有効ですが、{name} の値 {value} がこのマシンの http アドレスではありません"},
		Words{"switch development off for a node that others reach; else use http://127.0.0.1:PORT or http://localhost:PORT", "外部から接続されるノードでは development を無効にしてください。試用の場合は http://127.0.0.1:ポート番号 または http://localhost:ポート番号 を指定します"})
	SettingNoDID = Define("setting-no-did", 400,
		Words{"{place}: {name} is {value}, which cannot be written as a did:web name", "{place}: {name} の値 {value} は did:web の名前として表せません"},
		Words{"use a domain name and plain path segments", "ドメイン名と、英数字などの単純なパスだけを使ってください"})

	ConfigUnreadable = Define("config-unreadable", 400,
		Words{"cannot read the settings file {place}: {reason}", "設定ファイル {place} を読み込めません: {reason}"},
		Words{"check the path; kakehashi init writes a new file", "パスを確認してください。新しい設定ファイルは kakehashi init で作成できます"})
	ConfigSyntax = Define("config-syntax", 400,
		Words{"{place}: not valid YAML: {reason}", "{place}: YAML の文法が正しくありません: {reason}"},
		Words{"write one setting a line as  name: value", "1 行に 1 項目ずつ「項目名: 値」の形式で記述してください"})
	ConfigForm = Define("config-form", 400,
		Words{"{place}: expected lines of the form  name: value, without anchors, tags or a second document", "{place}: 「項目名: 値」の行だけを記述できます。アンカー、タグ、複数ドキュメントは使えません"},
		Words{"write one setting a line as  name: value", "1 行に 1 項目ずつ「項目名: 値」の形式で記述してください"})

	MasterKeyMissing = Define("master-key-missing", 400,
		Words{"there is no master key at {place}", "{place} にマスターキーがありません"},
		Words{"put back the one that this node was made with, or make a new node with kakehashi init", "ノード作成時のマスターキーを復元するか、kakehashi init で新しいノードを作成してください"})
	MasterKeyInvalid = Define("master-key-invalid", 400,
		Words{"the master key in {place} is not 32 bytes in base64", "{place} のマスターキーが、32 バイトを base64 で表したものではありません"},
		Words{"put back the one that this node was made with", "ノード作成時のマスターキーを復元してください"})
	MasterKeyOpen = Define("master-key-open", 400,
		Words{"the master key {place} can be read by other users", "マスターキー {place} が、ほかのユーザーからも読み取れる状態です"},
		Words{"run: chmod 600 {place}", "chmod 600 {place} を実行してください"})
	WalletKeys = Define("wallet-keys", 400,
		Words{"wallet_keys_file {file}: {reason}", "wallet_keys_file {file}: {reason}"},
		Words{"give a JSON Web Key Set of public keys whose kid are keys of this participant's DID", "この参加者の DID の鍵 ID を kid とする公開鍵の JSON Web Key Set を指定してください"})
)
