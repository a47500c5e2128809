// Package config holds the settings of a node: one struct whose fields carry
// name, default and documentation. The flags of the command line, the names of
// the environment variables, the commented file that init writes and the
// reference in docs are all made from it. It is not for what changes while a
// node runs, nor for what a participant's people decide (offers, partners,
// users): the node keeps that in its store.
package config

import (
	"log/slog"
	"net/netip"
	"time"
)

// Settings are the settings of one node. After Load every path is absolute,
// every URL is without a trailing slash, and nothing is left to be derived.
//
// The tags: name is the name in the file, default the text that is taken when
// nothing is set ("<other>" in it stands for the value of another setting),
// kind what a string is, choices, min and max what is allowed, init:"write"
// what a new file always states, en and ja the documentation.
type Settings struct {
	Participant string `name:"participant" default:"main" kind:"name" init:"write" en:"Short local name of the participant, part of its addresses. Chosen once at init, permanent." ja:"参加者の短い名前。アドレスの一部になります。init 時に決め、以後は変更できません。"`
	Title       string `name:"title" default:"<participant>" kind:"text" en:"Name that people see in the catalogue and in the portal." ja:"カタログやポータルに表示する名称。"`
	PublicURL   string `name:"public_url" default:"http://<listen>" kind:"url" init:"write" en:"Address at which counterparts reach this node; https://<listen> with tls_cert. The DID follows from it at init and is permanent." ja:"相手方がこのノードに接続する URL。tls_cert を指定した場合の既定値は https://<listen>。init 時にこの URL から DID が決まり、以後は変更できません。"`
	DataURL     string `name:"data_url" default:"<public_url>" kind:"url" en:"Address at which counterparts fetch data, if it is another than public_url." ja:"相手方がデータを取得する URL。public_url と異なる場合に指定します。"`
	Listen      string `name:"listen" default:"127.0.0.1:8080" kind:"address" init:"write" en:"Where the node listens for counterparts: protocol, DID document, data." ja:"相手方からの接続 (プロトコル、DID 文書、データ) を待ち受けるアドレス。"`
	AdminListen string `name:"admin_listen" default:"127.0.0.1:8081" kind:"address" init:"write" en:"Where the node listens for its own people: management API and portal." ja:"自組織からの接続 (管理 API とポータル) を待ち受けるアドレス。"`
	TLSCert     string `name:"tls_cert" default:"" kind:"file" en:"Certificate chain (PEM) when the node serves TLS itself; needs tls_key." ja:"ノード自身が TLS を終端する場合の証明書チェーン (PEM)。tls_key も必要です。"`
	TLSKey      string `name:"tls_key" default:"" kind:"file" en:"Private key (PEM) of tls_cert." ja:"tls_cert に対応する秘密鍵 (PEM)。"`
	Development bool   `name:"development" default:"false" init:"write" en:"Allow http and loopback addresses, to try nodes out on one machine. Never for a node that others reach." ja:"http とループバックアドレスを許可します。1 台のマシンで試すためのもので、外部から接続されるノードでは使えません。"`

	Data          string   `name:"data" default:"data" kind:"path" init:"write" en:"Folder of the database and of everything the node keeps." ja:"データベースなど、ノードが保存するすべてのデータを置くフォルダー。"`
	Store         string   `name:"store" default:"" kind:"store" en:"Database server, as postgres://user@host:port/database; without it the node keeps everything in a file in data. The password may stand in PGPASSWORD or in a passfile instead; without sslmode a server on another machine must prove its name." ja:"データベースサーバー (postgres://ユーザー@ホスト:ポート/データベース)。指定しない場合は data 内のファイルに保存します。パスワードは PGPASSWORD または passfile でも指定できます。sslmode を省略すると、他のマシンのサーバーには証明書によるホスト名の検証を求めます。"`
	MasterKeyFile string   `name:"master_key_file" default:"<data>/master.key" kind:"path" en:"File with the key that encrypts secrets at rest. KAKEHASHI_MASTER_KEY holds the key itself instead, if set." ja:"保存する秘密情報を暗号化する鍵のファイル。環境変数 KAKEHASHI_MASTER_KEY に鍵そのものを設定した場合は、そちらを使います。"`
	FilesRoots    []string `name:"files_roots" default:"<data>/files" kind:"path" en:"Folders from which files may be published; nothing outside them is ever read." ja:"公開できるファイルを置くフォルダー。これ以外の場所のファイルは読み込みません。"`
	ReceivedDir   string   `name:"received_dir" default:"<data>/received" kind:"path" en:"Folder of what counterparts push to this node. Replicas share one, at the same path." ja:"相手方からのプッシュ転送で受け取ったデータを保存するフォルダー。複数のレプリカで運用する場合は、同じパスで共有してください。"`

	AllowNetworks       []netip.Prefix `name:"allow_networks" default:"" en:"Private networks in which counterparts may be called, such as 10.0.0.0/8. Without it only public addresses are." ja:"接続を許可する相手方のプライベートネットワーク (例: 10.0.0.0/8)。指定しない場合は、公開アドレスにだけ接続します。"`
	MaxMessageBytes     Size           `name:"max_message_bytes" default:"1MiB" min:"16KiB" max:"64MiB" en:"Largest protocol or API message that is read." ja:"受け付けるプロトコルまたは API のメッセージの最大サイズ。"`
	MaxReceivedBytes    Size           `name:"max_received_bytes" default:"4GiB" min:"1KiB" max:"1024GiB" en:"Largest body that a counterpart may push to this node. It is kept in received_dir." ja:"相手方がプッシュ転送でこのノードに送れるデータの最大サイズ。received_dir のフォルダーに保存します。"`
	PartnerRate         int            `name:"partner_rate" default:"2000" min:"1" max:"1000000" en:"Messages a second that one counterpart may send." ja:"1 つの相手方が 1 秒間に送信できるメッセージの数。"`
	PartnerOpen         int            `name:"partner_open" default:"10000" min:"1" max:"10000000" en:"Negotiations, and transfers, that one counterpart may hold open." ja:"1 つの相手方が同時に開ける交渉と転送の、それぞれの最大数。"`
	AddressRate         int            `name:"address_rate" default:"10000" min:"1" max:"1000000" en:"Protocol requests a second from one network address, before it is known who sends them. Behind a proxy all counterparts share one address." ja:"送信者の確認前に、1 つのネットワークアドレスから 1 秒間に受け付けるプロトコルのリクエスト数。プロキシの背後では、すべての相手方が 1 つのアドレスを共有します。"`
	ListenerConnections int            `name:"listener_connections" default:"10000" min:"16" max:"1000000" en:"Connections that each listener holds at most; one more ends the one that has been idle longest. The system's limit of open files may allow fewer." ja:"各リスナーが同時に保持する接続の最大数。超えた場合は、最も長く使われていない接続を切断します。OS のファイル数の上限により、これより少なくなることがあります。"`
	OutgoingTimeout     time.Duration  `name:"outgoing_timeout" default:"30s" min:"1s" max:"10m" en:"How long one call to a counterpart may take." ja:"相手方への 1 回の呼び出しにかけられる最長時間。"`
	RetryFor            time.Duration  `name:"retry_for" default:"24h" min:"1m" max:"90d" en:"How long a message is tried again while the counterpart does not answer." ja:"相手方が応答しないメッセージの再送を続ける期間。"`
	BodyRetention       time.Duration  `name:"body_retention" default:"3650d" min:"1d" max:"36500d" en:"How long the bodies of messages are kept as evidence; their digests stay." ja:"証跡としてメッセージ本文を保存する期間。ダイジェストはその後も残ります。"`

	TrustFresh          time.Duration `name:"trust_fresh" default:"5m" min:"0s" max:"1h" en:"How long credentials that a counterpart showed are not asked for again; 0s asks for each message." ja:"相手方が提示した資格証明を再度求めずに使える時間。0s の場合はメッセージごとに提示を求めます。"`
	TrustRefresh        time.Duration `name:"trust_refresh" default:"60s" min:"1s" max:"10m" en:"How often the status of credentials that counterparts showed is read again." ja:"相手方が提示した資格証明の失効状態を確認する間隔。"`
	WalletStrict        bool          `name:"wallet_strict" default:"false" en:"Refuse a query that asks for more credentials than its access token allows, as drafts of DCP had it; DCP 1.0 answers with less." ja:"アクセストークンの範囲を超える資格証明の照会を拒否します (DCP の草案での動作)。DCP 1.0 では、範囲内の資格証明だけを返します。"`
	WalletURL           string        `name:"wallet_url" default:"" kind:"url" en:"Credential service elsewhere that shows this participant's credentials, in place of the node's own; needs the other wallet settings." ja:"ノード自身の代わりに、この参加者の資格証明を提示する外部の Credential Service の URL。ほかの wallet 設定も必要です。"`
	WalletSTSURL        string        `name:"wallet_sts_url" default:"" kind:"url" en:"Token endpoint of the secure token service that belongs to wallet_url." ja:"wallet_url に対応する Secure Token Service のトークンエンドポイント。"`
	WalletSTSClient     string        `name:"wallet_sts_client" default:"" kind:"text" en:"Client id of this node at wallet_sts_url." ja:"wallet_sts_url でのこのノードのクライアント ID。"`
	WalletSTSSecretFile string        `name:"wallet_sts_secret_file" default:"" kind:"file" en:"File with the client secret for wallet_sts_url." ja:"wallet_sts_url のクライアントシークレットのファイル。"`
	WalletKeysFile      string        `name:"wallet_keys_file" default:"" kind:"file" en:"File with the public keys of the wallet (a JSON Web Key Set), which this node publishes in the DID document; the kid of each is a key of this participant's DID." ja:"このノードが DID ドキュメントで公開する、ウォレットの公開鍵のファイル (JSON Web Key Set)。各鍵の kid はこの参加者の DID の鍵 ID とします。"`

	DecisionWebhook        string `name:"decision_webhook" default:"" kind:"url" en:"Address of your own work-flow that is asked where a dataset or a negotiation says so; needs decision_webhook_key_file. https, or http to this machine." ja:"データセットや交渉で判断が必要になったときに問い合わせる、自組織のワークフローの URL。decision_webhook_key_file も必要です。https、または自マシン宛ての http を指定します。"`
	DecisionWebhookKeyFile string `name:"decision_webhook_key_file" default:"" kind:"file" en:"File with the key, at least 32 characters, that signs what the webhook is asked (HMAC-SHA256)." ja:"Webhook への問い合わせに署名する鍵 (HMAC-SHA256、32 文字以上) のファイル。"`

	IdentityTemplate       string `name:"identity_template" default:"" kind:"template" en:"Authorization header that is sent and taken instead of proof, with {self} for the sender and {counterparty} for the receiver: for compatibility kits and mock identities. Anybody can be anybody then; with development only." ja:"証明の代わりに送受信する Authorization ヘッダー。{self} は送信者、{counterparty} は受信者を表します。互換性試験やモック ID のためのもので、誰でも他者を名乗れます。development でだけ使えます。"`
	IdentityTemplateCaller string `name:"identity_template_caller" default:"" kind:"text" en:"Who sends a header that is identity_template, if it has no {self}." ja:"identity_template に {self} がない場合に、送信者とみなす相手の ID。"`

	LogLevel  string `name:"log_level" default:"info" choices:"debug,info,warn,error" en:"Least important level that is logged." ja:"出力するログの最低レベル。"`
	LogFormat string `name:"log_format" default:"text" choices:"text,json" en:"Form of the log on stderr." ja:"標準エラー出力に書き出すログの形式。"`
	Language  string `name:"language" default:"auto" choices:"auto,en,ja" en:"Language of the portal: auto follows the browser." ja:"ポータルの言語。auto の場合はブラウザーの設定に従います。"`

	places map[string]string // where each setting that is not a default stands
}

// Size is a number of bytes.
type Size int64

// Level is LogLevel as slog has it.
func (s Settings) Level() slog.Level {
	var l slog.Level
	if l.UnmarshalText([]byte(s.LogLevel)) != nil {
		return slog.LevelInfo
	}
	return l
}

// Place tells where the setting of this name stands: file:line, environment
// variable or flag; "" for a default.
func (s Settings) Place(name string) string { return s.places[name] }

// TLS tells whether the node serves TLS itself.
func (s Settings) TLS() bool { return s.TLSCert != "" }
