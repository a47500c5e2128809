package fault

// Kinds of the store: what keeps a node from opening its data.
var (
	StoreInUse = Define("store-in-use", 503,
		Words{"another kakehashi uses the folder {path}", "フォルダー {path} は別の kakehashi が使用中です"},
		Words{"stop the other one, or start this one with a folder of its own", "使用中の kakehashi を停止するか、別のフォルダーを指定して起動してください"})
	StoreNewer = Define("store-newer", 503,
		Words{"the data was written by a newer kakehashi ({owner} is at version {version})", "データは新しいバージョンの kakehashi で作成されています（{owner} のバージョン {version}）"},
		Words{"start that version or a later one, or restore a backup that this one made", "作成時以降のバージョンで起動するか、このバージョンで取得したバックアップを復元してください"})
	StoreChanged = Define("store-changed", 503,
		Words{"{file}, a step in building the tables of {owner}, is not the one that built this data", "{owner} のテーブルを作成する {file} の内容が、このデータの作成時と異なります"},
		Words{"start the kakehashi that made this data, or a released version; a step that was applied is never edited, a new one is added", "このデータを作成した kakehashi か、正式に公開されたバージョンで起動してください。適用済みのファイルは編集せず、新しいファイルを追加します"})
	StoreAway = Define("store-away", 503,
		Words{"the database at {place} does not answer", "データベース {place} が応答しません"},
		Words{"start it, or correct the setting store; the node goes on by itself once it answers", "データベースを起動するか、設定 store を修正してください。応答が戻れば、ノードは自動的に処理を再開します"})
	StoreRefused = Define("store-refused", 503,
		Words{"the database at {place} does not let the node in: {reason}", "データベース {place} への接続が拒否されました: {reason}"},
		Words{"correct user, password and database name; the password may come from PGPASSWORD or a passfile", "ユーザー、パスワード、データベース名を確認してください。パスワードは PGPASSWORD または passfile でも指定できます"})
	StoreCrowded = Define("store-crowded", 503,
		Words{"the database at {place} has no connection left", "データベース {place} に空いている接続がありません"},
		Words{"raise its max_connections, or run fewer programs on it; the node goes on by itself", "データベースの max_connections を増やすか、接続するプログラムを減らしてください。空きができれば、ノードは自動的に処理を再開します"})
	StoreUnknown = Define("store-unknown", 503,
		Words{"the answer of the database at {place} was lost: the change is there wholly or not at all, but which is not known", "データベース {place} からの応答が失われました。変更は全体が保存されたか、まったく保存されなかったかのいずれかですが、どちらかは確認できていません"},
		Words{"read it before you repeat it", "再実行する前に、変更が反映されているかどうかを確認してください"})
	StoreReadOnly = Define("store-read-only", 503,
		Words{"the database takes no changes: it is read-only", "データベースが読み取り専用のため、変更を保存できません"},
		Words{"make the disk writable, or point the setting store at the server that takes writes", "ディスクを書き込み可能にするか、設定 store に書き込み可能なサーバーを指定してください"})
	StoreFull = Define("store-full", 503,
		Words{"the disk of the database is full", "データベースのディスクに空き容量がありません"},
		Words{"free disk space; nothing that was acknowledged is lost, and the node goes on by itself", "ディスクの空き容量を確保してください。受け付け済みのデータは失われておらず、ノードは自動的に処理を再開します"})
	StoreBusy = Define("store-busy", 503,
		Words{"too many units of work changed the same rows at the same time", "同じ行への変更が同時に多数発生しました"},
		Words{"try again; if it stays, look in the log for what holds the rows", "もう一度お試しください。解消しない場合は、どの処理が行を占有しているかをログで確認してください"})
	StoreKey = Define("store-key", 400,
		Words{"an identifier is too long to be kept", "識別子が長すぎるため保存できません"},
		Words{"use identifiers of at most 2,000 bytes", "識別子は 2,000 バイト以内にしてください"})
	StoreText = Define("store-text", 400,
		Words{"a text holds the character NUL or is not valid UTF-8", "テキストに NUL 文字が含まれているか、UTF-8 として正しくありません"},
		Words{"send the text without it", "該当する文字を取り除いて送り直してください"})
	NewerProgram = Define("newer-program", 503,
		Words{"a newer program of this node wrote this; this one leaves it alone ({what}, format {format}, read here up to {reads})", "このノードの新しいバージョンのプログラムが書き込んだデータのため、このプログラムでは処理しません（{what}、形式 {format}、対応は {reads} まで）"},
		Words{"try again: a replica of the newer version answers; once none runs any more, update this one", "もう一度お試しください。新しいバージョンのレプリカが応答します。稼働していない場合は、このプログラムを更新してください"})
)
