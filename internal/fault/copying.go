package fault

// What an operator meets who copies, keeps and brings back a store.
var (
	CopyUnfinished = Define("copy-unfinished", 503,
		Words{"{place} holds a copy from {source} that was begun and is not finished", "{place} には {source} からのコピーが完了しないまま残っています"},
		Words{"run the same kakehashi store copy or restore again: it goes on where it was", "同じ kakehashi store copy または restore をもう一度実行すると、続きから再開します"})
	CopyNotEmpty = Define("copy-not-empty", 409,
		Words{"{place} is not empty: {table} has rows", "{place} は空ではありません: {table} にデータがあります"},
		Words{"name an empty database or a file that does not exist; nothing was changed", "空のデータベース、または存在しないファイルを指定してください。何も変更していません"})
	CopyItself = Define("copy-itself", 400,
		Words{"{place} is where the node keeps everything already", "{place} はノードが既に使用しているデータベースです"},
		Words{"name another database or file with --to", "--to に別のデータベースまたはファイルを指定してください"})
	CopyBegun = Define("copy-begun", 409,
		Words{"{place} holds an unfinished copy from {source}", "{place} には {source} からのコピーが完了しないまま残っています"},
		Words{"finish that one, or throw it away with --again", "そのコピーを完了させるか、--again を付けて破棄してください"})
	CopyUnknown = Define("copy-unknown", 409,
		Words{"the store holds tables of {owner}, which this kakehashi does not have", "このバージョンの kakehashi が備えていない {owner} のテーブルがあります"},
		Words{"use a kakehashi that has it, or remove them with: kakehashi store drop {owner} --yes", "対応するバージョンの kakehashi を使うか、kakehashi store drop {owner} --yes で削除してください"})
	CopyRaced = Define("copy-raced", 409,
		Words{"another program writes into {place} at the same time", "別のプログラムが同時に {place} に書き込んでいます"},
		Words{"end the other one, then run the command again: it goes on where it was", "もう一方を終了してからもう一度実行すると、続きから再開します"})
	CopyDiffers = Define("copy-differs", 500,
		Words{"table {table} differs from its source ({want} rows there, {got} in the copy): the source was changed meanwhile, or a disk fails", "テーブル {table} がコピー元と一致しません（コピー元 {want} 行、コピー先 {got} 行）。途中でコピー元が変更されたか、ディスクに問題があります"},
		Words{"see that nothing serves the source, then begin anew with --again", "コピー元のノードが停止していることを確認し、--again を付けて最初からやり直してください"})
	StoreServed = Define("store-served", 409,
		Words{"a node serves {place} right now (replica {replica})", "{place} は現在ノードが使用しています（レプリカ {replica}）"},
		Words{"stop every replica of it, then run the command again", "すべてのレプリカを停止してから、もう一度実行してください"})
	StoreOlder = Define("store-older", 409,
		Words{"the tables of {owner} are older than this kakehashi", "{owner} のテーブルがこの kakehashi より古い形式です"},
		Words{"start the node once with this version; it brings them up to date", "このバージョンでノードを一度起動してください。テーブルが更新されます"})
	ArchiveDamaged = Define("archive-damaged", 400,
		Words{"{place} is no whole backup: {reason}", "{place} は完全なバックアップではありません: {reason}"},
		Words{"use another backup; nothing was changed", "別のバックアップを使ってください。何も変更していません"})
	DropInUse = Define("drop-in-use", 409,
		Words{"{owner} is in use: its tables stay", "{owner} は使用中のため、テーブルを削除できません"},
		Words{"only the tables of a service that is switched off can be removed", "削除できるのは、無効になっているサービスのテーブルだけです"})
	DropNothing = Define("drop-nothing", 404,
		Words{"{place} has no tables of {owner}", "{place} に {owner} のテーブルはありません"},
		Words{"check the name: it is the one of the service", "名前を確認してください。サービスの名前を指定します"})
	DropUnsure = Define("drop-unsure", 400,
		Words{"this removes {tables} tables of {owner} with {rows} rows for good", "{owner} の {tables} 個のテーブル（{rows} 行）を完全に削除します"},
		Words{"make a backup, then add --yes", "バックアップを取得してから --yes を付けて実行してください"})
)
