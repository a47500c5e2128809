package fault

// What a person at the command line meets.
var (
	CommandMissing = Define("command-missing", 400,
		Words{"{command} needs a command", "{command} に続くコマンドが指定されていません"},
		Words{"{command} --help lists them", "コマンドの一覧は {command} --help で確認できます"})
	CommandUnknown = Define("command-unknown", 400,
		Words{"{command} has no command {name}", "{command} に {name} というコマンドはありません"},
		Words{"{command} --help lists them", "コマンドの一覧は {command} --help で確認できます"})
	CommandMisspelt = Define("command-misspelt", 400,
		Words{"{command} has no command {name}", "{command} に {name} というコマンドはありません"},
		Words{"did you mean {guess}? {command} --help lists them", "{guess} ではありませんか。コマンドの一覧は {command} --help で確認できます"})
	FlagUnknown = Define("flag-unknown", 400,
		Words{"{command} has no flag {name}", "{command} に {name} というオプションはありません"},
		Words{"{command} --help lists them", "オプションの一覧は {command} --help で確認できます"})
	FlagMisspelt = Define("flag-misspelt", 400,
		Words{"{command} has no flag {name}", "{command} に {name} というオプションはありません"},
		Words{"did you mean {guess}? {command} --help lists them", "{guess} ではありませんか。オプションの一覧は {command} --help で確認できます"})
	ArgumentMissing = Define("argument-missing", 400,
		Words{"{command} lacks {name}", "{command} に {name} が指定されていません"},
		Words{"{command} --help shows how it is used", "使い方は {command} --help で確認できます"})
	LanguageUnknown = Define("language-unknown", 400,
		Words{"--lang is {value}; expected en, ja or auto", "--lang の値 {value} は使えません。en、ja、auto のいずれかを指定します"},
		Words{"choose en, ja or auto", "en、ja、auto のいずれかを選んでください"})
	BadUsage = Define("bad-usage", 400,
		Words{"{command}: {reason}", "{command} の指定が正しくありません: {reason}"},
		Words{"{command} --help shows how it is used", "使い方は {command} --help で確認できます"})
	Interrupted = Define("interrupted", 499,
		Words{"interrupted", "中断しました"},
		Words{"run the same command again", "同じコマンドをもう一度実行してください"})
	FileExists = Define("file-exists", 409,
		Words{"{place} is there already", "{place} はすでに存在します"},
		Words{"nothing was written; choose another path, or move it away yourself", "何も書き込んでいません。別のパスを指定するか、既存のものを移動してください"})
	CannotRead = Define("cannot-read", 400,
		Words{"cannot read {place}: {reason}", "{place} を読み込めません: {reason}"},
		Words{"check the path and who may read it", "パスと読み取り権限を確認してください"})
	CannotCreate = Define("cannot-create", 507,
		Words{"cannot write {place}: {reason}", "{place} に書き込めません: {reason}"},
		Words{"check the folder, who may write there, and the free space", "フォルダー、書き込み権限、空き容量を確認してください"})
	DemoFailed = Define("demo-failed", 500,
		Words{"the demo failed at {step}: {reason}", "デモが {step} で失敗しました: {reason}"},
		Words{"read the reason; the folder of the demo holds everything that was made", "理由を確認してください。作成されたものはすべてデモのフォルダーにあります"})
	BenchFailed = Define("bench-failed", 500,
		Words{"the bench failed: {reason}", "ベンチマークに失敗しました: {reason}"},
		Words{"read the reason and run it again", "理由を確認し、もう一度実行してください"})
)
