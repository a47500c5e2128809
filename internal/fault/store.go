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
)
