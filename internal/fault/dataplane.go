package fault

// Kinds of the data plane and of the services that answer behind it.
var (
	TokenMissing = Define("token-missing", 401,
		Words{"the request carries no data plane token that can be read", "データプレーンのトークンがないか、読み取れません"},
		Words{"send the token of the transfer's start message as Authorization: Bearer, or as the password of Basic authentication", "転送開始メッセージで受け取ったトークンを Authorization: Bearer、または Basic 認証のパスワードとして送ってください"})
	GrantUnknown = Define("grant-unknown", 401,
		Words{"the token does not open this address", "このトークンではこのアドレスにアクセスできません"},
		Words{"use address and token of the same, newest start message; a resumed or refreshed transfer has a new token", "同じ最新の転送開始メッセージにあるアドレスとトークンを組で使ってください。再開または更新された転送ではトークンが変わります"})
	GrantClosed = Define("grant-closed", 403,
		Words{"access has ended: {why}", "アクセスは終了しました: {why}"},
		Words{"start a new transfer under an agreement that is in force", "有効な契約に基づいて新しい転送を開始してください"})
	GrantSuspended = Define("grant-suspended", 403,
		Words{"access is suspended: {why}", "アクセスは一時停止中です: {why}"},
		Words{"wait for the transfer's next start message and use its new token", "次の転送開始メッセージを待ち、その新しいトークンを使ってください"})
	HTTPVersion = Define("http-version", 505,
		Words{"this address does not speak HTTP/1.0", "このアドレスは HTTP/1.0 に対応していません"},
		Words{"use HTTP/1.1 or HTTP/2", "HTTP/1.1 または HTTP/2 を使ってください"})
	FormatUnknown = Define("format-unknown", 400,
		Words{"the dataset is not offered in the format {format}", "このデータセットは形式 {format} では提供されていません"},
		Words{"ask for one of the formats in the catalogue: {known}", "カタログにある形式を指定してください: {known}"})
	FilterUnsupported = Define("filter-unsupported", 403,
		Words{"the terms demand a filter that the format {format} cannot apply", "契約条件が求める絞り込みを形式 {format} では適用できません"},
		Words{"choose a format that filters item by item, or agree on terms without such a condition", "項目ごとに絞り込める形式を選ぶか、その条件を含まない契約を結んでください"})
)

// Kinds of bodies that are sent to a counterparty's address, by us or to us.
var (
	AlreadyReceived = Define("already-received", 409,
		Words{"the whole body of this transfer has arrived before", "この転送のデータはすでにすべて受信済みです"},
		Words{"complete the transfer; to send anything else, start a new one", "転送を完了してください。別のデータを送る場合は、新しい転送を開始してください"})
	BeingReceived = Define("being-received", 409,
		Words{"a body of this transfer is being received at this moment", "この転送のデータは現在受信中です"},
		Words{"wait for the other request to end, then try again", "もう一方のリクエストが終わるのを待ってから、再度お試しください"})
	ReceivedTooLarge = Define("received-too-large", 413,
		Words{"the body is larger than the {limit} bytes that this node receives", "データがこのノードで受信できる上限（{limit} バイト）を超えています"},
		Words{"send less, or have the receiver raise its setting max_received_bytes", "データを小さくするか、受信側で設定 max_received_bytes を引き上げてもらってください"})
	ReceivedPart = Define("received-part", 400,
		Words{"the body broke off after {bytes} bytes", "データの受信が {bytes} バイトで途切れました"},
		Words{"send the whole body again", "データ全体をもう一度送ってください"})
	ReceivedOther = Define("received-other", 400,
		Words{"the body has the digest {got}, not the announced {want}", "データのダイジェストは {got} で、通知された {want} と一致しません"},
		Words{"send the body again as it was announced", "通知した内容どおりのデータをもう一度送ってください"})
	CannotKeep = Define("received-not-kept", 507,
		Words{"the node cannot keep what it receives", "受信したデータをノードに保存できません"},
		Words{"try again later; the node's operator finds the reason in its log", "しばらくしてから再度お試しください。原因はノードの運用者がログで確認できます"})
	PushRefused = Define("push-refused", 502,
		Words{"the receiver's address answered {status} {code} {reason}", "受信側のアドレスが {status} {code} {reason} を返しました"},
		Words{"ask the receiver what its address takes, then start a new transfer", "受信側に受け付け条件を確認してから、新しい転送を開始してください"})
	PushUnserved = Define("push-unserved", 502,
		Words{"the data could not be read for sending: {status} {reason}", "送信するデータを読み取れませんでした: {status} {reason}"},
		Words{"put the source right or publish it again, then start a new transfer", "データの提供元を修正するか再度公開してから、新しい転送を開始してください"})
	PushBroken = Define("push-broken", 502,
		Words{"the connection to the receiver's address broke", "受信側アドレスへの接続が切れました"},
		Words{"it is tried again by itself; check that the receiver's address can be reached", "自動的に再試行します。受信側のアドレスに到達できるか確認してください"})
)

// Kinds of the file service.
var (
	PathRelative = Define("file-path-relative", 400,
		Words{"{path} is not an absolute path", "{path} は絶対パスではありません"},
		Words{"name the file from the root of the node's file system", "ノードのファイルシステムのルートからの絶対パスを指定してください"})
	FileMissing = Define("file-missing", 404,
		Words{"there is no file {path} on the node's machine", "ノードのマシンにファイル {path} がありません"},
		Words{"check the path; it is read on the machine that runs the node", "パスを確認してください。パスはノードが動作しているマシン上のものです"})
	FileOutsideRoots = Define("file-outside-roots", 403,
		Words{"{path} lies outside the folders that may be published", "{path} は公開が許可されたフォルダーの外にあります"},
		Words{"move the file into one of {roots}, or add its folder to the setting files_roots", "ファイルを {roots} のいずれかに移すか、そのフォルダーを設定 files_roots に追加してください"})
	FileIsFolder = Define("file-not-regular", 400,
		Words{"{path} is a folder or a device, not a file", "{path} はフォルダーまたはデバイスであり、ファイルではありません"},
		Words{"publish one file; pack a folder into an archive first", "ファイルを一つ指定してください。フォルダーは先にアーカイブにまとめてください"})
	FileUnreadable = Define("file-unreadable", 502,
		Words{"the file {path} cannot be read", "ファイル {path} を読み取れません"},
		Words{"let the user that runs the node read the file, then try again", "ノードの実行ユーザーにファイルの読み取り権限を与え、もう一度お試しください"})
	FileChanging = Define("file-changing", 409,
		Words{"the file {path} is being written while it is read", "ファイル {path} は読み取り中に書き換えられました"},
		Words{"publish it once it is complete", "書き込みが完了してから公開してください"})
	DatasetTaken = Define("dataset-taken", 409,
		Words{"the id {dataset} belongs to a dataset of the service {service}", "ID {dataset} はサービス {service} のデータセットで使われています"},
		Words{"choose another id", "別の ID を指定してください"})
	SourceChanged = Define("source-changed", 409,
		Words{"the file of {dataset} has changed since it was published", "{dataset} のファイルは公開後に変更されています"},
		Words{"its provider must publish it again", "提供者側で再度公開する必要があります"})
	SourceGone = Define("source-gone", 410,
		Words{"the file of {dataset} is no longer there", "{dataset} のファイルは存在しません"},
		Words{"its provider must put the file back or publish it again", "提供者側でファイルを元に戻すか、再度公開する必要があります"})
	SourceUnreadable = Define("source-unreadable", 502,
		Words{"the file of {dataset} cannot be read at the moment", "{dataset} のファイルを現在読み取れません"},
		Words{"try again later; its provider finds the reason in the node's log", "しばらくしてから再度お試しください。原因は提供者のノードのログで確認できます"})
)
