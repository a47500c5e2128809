package fault

// Kinds of the people and programs that call: whom we host, DIDs, the tokens of
// counterparts, and the accounts of the node itself. Whatever is wrong with a
// token is 401, so that a counterpart learns what but never gets further.
var (
	AuthorizationMissing = Define("authorization-missing", 401,
		Words{"the message carries no bearer token", "メッセージにベアラートークンがありません"},
		Words{"send a self-issued token as Authorization: Bearer", "自己発行トークンを Authorization: Bearer で送ってください"})
	TokenInvalid = Define("token-invalid", 401,
		Words{"the token is not accepted: {reason}", "トークンを受理できません: {reason}"},
		Words{"make a new token as the identity profile of this node demands and send the message again", "このノードの認証方式に沿ってトークンを作り直し、メッセージを再送してください"})
	TokenSignature = Define("token-signature", 401,
		Words{"the signature of the token does not match the key {kid}", "トークンの署名が鍵 {kid} と一致しません"},
		Words{"sign with the key that the DID document publishes, or publish the key that signs", "DID ドキュメントで公開している鍵で署名するか、署名に使う鍵を公開してください"})
	TokenKey = Define("token-key", 401,
		Words{"the key {kid} cannot be used: {reason}", "鍵 {kid} は使用できません: {reason}"},
		Words{"publish the key in the issuer's DID document, as publicKeyJwk and under the verification relationship that it is used for", "発行者の DID ドキュメントに鍵を publicKeyJwk 形式で掲載し、用途に応じた検証関係に含めてください"})
	TokenIssuer = Define("token-issuer", 401,
		Words{"the DID document of the issuer {issuer} cannot be had", "発行者 {issuer} の DID ドキュメントを取得できません"},
		Words{"make the DID document reachable from this node over HTTPS without redirects, then send the message again", "このノードから HTTPS でリダイレクトなしに DID ドキュメントを取得できるようにしてから、メッセージを再送してください"})
	TokenExpired = Define("token-expired", 401,
		Words{"the token expired at {expired}", "トークンの有効期限は {expired} に切れています"},
		Words{"send the message with a new token; check the clocks of both sides if it was new", "新しいトークンで再送してください。発行直後のトークンだった場合は、双方の時計を確認してください"})
	TokenEarly = Define("token-not-yet-valid", 401,
		Words{"the token is valid from {from} only", "トークンは {from} になるまで有効ではありません"},
		Words{"set the clocks of both sides by a time server", "双方の時計をタイムサーバーに同期させてください"})
	TokenAudience = Define("token-audience", 401,
		Words{"the token is for another recipient, not for {did}", "トークンの宛先が {did} ではありません"},
		Words{"make a token whose only audience is {did}", "{did} だけを宛先 (aud) とするトークンを作成してください"})
	TokenReplayed = Define("token-replayed", 401,
		Words{"this token has been used before", "このトークンはすでに使用されています"},
		Words{"make a new token for each message and for each new try", "メッセージごと、再送ごとに新しいトークンを作成してください"})
	TokenDigest = Define("token-digest", 401,
		Words{"the token was made for another body than the one that came with it", "トークンに記された本文のダイジェストが、受信した本文と一致しません"},
		Words{"sign the SHA-256 of the very bytes that are sent, and let nothing on the way rewrite them", "送信するバイト列そのものの SHA-256 に署名し、途中で本文が書き換えられないようにしてください"})

	AccessToken = Define("access-token", 401,
		Words{"the access token in the token is not accepted: {reason}", "トークンに含まれるアクセストークンを受理できません: {reason}"},
		Words{"use the access token that this participant sent you in its last message", "この参加者から直近のメッセージで受け取ったアクセストークンを使ってください"})
	ScopeBeyond = Define("scope-beyond", 403,
		Words{"the access token does not allow {scope}", "アクセストークンは {scope} を許可していません"},
		Words{"ask for what the access token allows only", "アクセストークンが許可する範囲で照会してください"})
	ScopeUnreadable = Define("scope-unreadable", 400,
		Words{"{scope} is not a scope of the protocol", "{scope} はプロトコルのスコープとして読み取れません"},
		Words{"write it as ALIAS:DISCRIMINATOR or ALIAS:DISCRIMINATOR:read", "「エイリアス:識別子」または「エイリアス:識別子:read」の形式で指定してください"})

	DIDInvalid = Define("did-invalid", 400,
		Words{"{did} is not a usable DID: {reason}", "{did} は使用できる DID ではありません: {reason}"},
		Words{"write it as did:web:HOST or did:web:HOST%3APORT, then :PATH segments, or as a did:key or did:jwk", "did:web:HOST または did:web:HOST%3APORT の形式（必要に応じて :PATH を続ける）か、did:key、did:jwk で指定してください"})
	DIDUnresolved = Define("did-unresolved", 502,
		Words{"the DID document of {did} cannot be had: {reason}", "{did} の DID ドキュメントを取得できません: {reason}"},
		Words{"check that the address answers without redirects, or ask its owner", "アドレスがリダイレクトなしに応答することを確認するか、所有者に問い合わせてください"})
	DIDDocument = Define("did-document", 502,
		Words{"the DID document of {did} is not valid at {place}: {reason}", "{did} の DID ドキュメントの {place} が正しくありません: {reason}"},
		Words{"ask its owner to correct the document", "所有者にドキュメントの修正を依頼してください"})

	ParticipantInvalid = Define("participant-invalid", 400,
		Words{"the participant cannot be made: {reason}", "参加者を作成できません: {reason}"},
		Words{"correct {place} and try again", "{place} を修正して、もう一度お試しください"})
	ParticipantExists = Define("participant-exists", 409,
		Words{"the node already hosts {what}", "{what} はすでにこのノードに登録されています"},
		Words{"choose another name; names and DIDs are permanent", "別の名前を選んでください。名前と DID は後から変更できません"})
	VaultKey = Define("vault-key", 500,
		Words{"the encryption key of the node is not 32 bytes long", "ノードの暗号鍵が 32 バイトではありません"},
		Words{"give the node the key file that was made by init", "init で作成した鍵ファイルをノードに指定してください"})
	VaultClosed = Define("vault-closed", 500,
		Words{"something kept encrypted cannot be opened", "暗号化して保存したデータを復号できません"},
		Words{"start the node with the key that belongs to this database; a changed row cannot be opened either", "このデータベースに対応する鍵でノードを起動してください。行が改変されている場合も復号できません"})

	APITokenInvalid = Define("api-token-invalid", 401,
		Words{"the API token is missing, unknown or revoked", "API トークンがないか、未登録または失効済みです"},
		Words{"send a valid token as Authorization: Bearer; make one with kakehashi token", "有効なトークンを Authorization: Bearer で送ってください。トークンは kakehashi token で作成できます"})
	ScopeMissing = Define("scope-missing", 403,
		Words{"this access does not include {scope}", "このアクセスには権限 {scope} が含まれていません"},
		Words{"use a token whose scopes include {scope}", "権限 {scope} を含むトークンを使ってください"})
	ScopeInvalid = Define("scope-invalid", 400,
		Words{"{scope} cannot be a scope", "{scope} は権限名として使えません"},
		Words{"name 1 to 32 scopes of lower case letters, digits, '.', ':', '_' or '-'", "権限名は英小文字、数字、「.」「:」「_」「-」で、1 個以上 32 個以下を指定してください"})
	LoginCodeInvalid = Define("login-code-invalid", 401,
		Words{"the login link is unknown, used or older than 10 minutes", "ログイン用リンクが無効か、使用済み、または発行から 10 分を過ぎています"},
		Words{"make a new link and open it once", "新しいリンクを発行し、一度だけ開いてください"})
	SessionEnded = Define("session-ended", 401,
		Words{"the session has ended", "セッションは終了しています"},
		Words{"log in again with a new link", "新しいリンクで再度ログインしてください"})
)
