package config

import (
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"kakehashi/internal/fault"
)

var (
	sampleHead = fault.Words{
		EN: "Settings of a kakehashi node. One setting a line; what is commented out shows the default.\n" +
			"A flag (--public-url) goes before an environment variable (KAKEHASHI_PUBLIC_URL), that before\n" +
			"this file. Relative paths start from the folder of this file. Check it with: kakehashi config check",
		JA: "kakehashi ノードの設定ファイル。1 行に 1 項目を記述します。コメントアウトした行は既定値です。\n" +
			"優先順位は、コマンドラインのオプション (--public-url)、環境変数 (KAKEHASHI_PUBLIC_URL)、\n" +
			"このファイルの順です。相対パスの起点は、このファイルのあるフォルダーです。\n" +
			"内容の確認: kakehashi config check",
	}
	plain = regexp.MustCompile(`^[A-Za-z0-9/][A-Za-z0-9_./:-]*$`)
)

// Sample writes s as the commented file that init makes, in lang ("ja", else
// English). dir is the folder that it will lie in: paths below it are written
// relative to it, so that the folder can be moved. Load of it gives s again.
func Sample(lang string, s Settings, dir string) []byte {
	var b strings.Builder
	for l := range strings.Lines(sampleHead.In(lang)) {
		b.WriteString("# " + l)
	}
	b.WriteString("\n")
	for _, f := range Fields() {
		b.WriteString("\n# " + f.Doc(lang) + "\n")
		if len(f.Choices) > 0 {
			b.WriteString("# " + strings.Join(f.Choices, " | ") + "\n")
		}
		if !f.write && s.places[f.Name] == "" {
			b.WriteString("# " + f.Name + ": " + f.example() + "\n")
			continue
		}
		texts := f.texts(s)
		for i, t := range texts {
			if f.kind == "path" || f.kind == "file" {
				if rel, err := filepath.Rel(dir, t); err == nil && filepath.IsLocal(rel) {
					t = rel
				}
			}
			texts[i] = quote(t)
		}
		if f.List {
			b.WriteString(f.Name + ": [" + strings.Join(texts, ", ") + "]\n")
		} else {
			b.WriteString(f.Name + ": " + texts[0] + "\n")
		}
	}
	return []byte(b.String())
}

// example is the default as it would stand in a file.
func (f Field) example() string {
	if f.List {
		if f.Default == "" {
			return "[]"
		}
		return "[" + f.Default + "]"
	}
	return f.Default
}

func quote(s string) string {
	if plain.MatchString(s) && !slices.Contains([]string{"null", "Null", "NULL"}, s) && !strings.HasSuffix(s, ":") {
		return s
	}
	return strconv.Quote(s) // a double-quoted scalar of YAML knows every escape that this writes
}

var (
	referenceHead = fault.Words{
		EN: "# Settings\n\n" +
			"Made from `config/settings.go`; a test compares it. Each setting is a line `name: value` in the file that\n" +
			"`kakehashi serve --config node.yaml` reads, an environment variable and a flag. A flag goes before an\n" +
			"environment variable, that before the file, and the default comes last. Relative paths start from the\n" +
			"folder of the file; those of flags and variables from the working folder. Lists are `[one, two]` in the\n" +
			"file and separated by commas elsewhere. Sizes are bytes or have `KiB`, `MiB` or `GiB`; times have a unit:\n" +
			"`500ms`, `30s`, `15m`, `24h`, `90d`. An unknown or wrong setting stops the start, and all faults are\n" +
			"listed at once: `kakehashi config check --config node.yaml`.\n\n" +
			"The master key itself may stand in `KAKEHASHI_MASTER_KEY` (32 bytes in base64) instead of a file.\n\n" +
			"| setting | environment | flag | default | meaning |\n|---|---|---|---|---|\n",
		JA: "# 設定項目\n\n" +
			"この文書は `config/settings.go` から生成しており、テストで一致を確認しています。各項目は、\n" +
			"`kakehashi serve --config node.yaml` が読み込むファイルの「項目名: 値」の行、環境変数、オプションの\n" +
			"いずれでも指定できます。優先順位は、オプション、環境変数、ファイル、既定値の順です。相対パスの起点は、\n" +
			"ファイル内ではそのファイルのあるフォルダー、オプションと環境変数では作業フォルダーです。リストは、\n" +
			"ファイルでは `[値1, 値2]`、それ以外ではコンマ区切りで指定します。サイズはバイト数か、`KiB`・`MiB`・`GiB`\n" +
			"を付けた数値、時間は `500ms`、`30s`、`15m`、`24h`、`90d` のように単位を付けた数値で指定します。未知の項目や\n" +
			"誤った値があるとノードは起動せず、すべての誤りをまとめて表示します:\n" +
			"`kakehashi config check --config node.yaml`\n\n" +
			"マスターキーは、ファイルの代わりに環境変数 `KAKEHASHI_MASTER_KEY` (32 バイトを base64 で表したもの) でも\n" +
			"指定できます。\n\n" +
			"| 項目 | 環境変数 | オプション | 既定値 | 意味 |\n|---|---|---|---|---|\n",
	}
	markdown = strings.NewReplacer("|", `\|`, "<", `\<`)
	limits   = fault.Words{EN: " From {min} to {max}.", JA: "範囲: {min}～{max}。"}
)

// Reference is the documentation of all settings in Markdown, in lang: what
// docs/settings.md and docs/settings.ja.md hold.
func Reference(lang string) string {
	var b strings.Builder
	b.WriteString(referenceHead.In(lang))
	for _, f := range Fields() {
		doc := f.Doc(lang)
		if len(f.Choices) > 0 {
			doc += " `" + strings.Join(f.Choices, "` `") + "`"
		}
		if f.min != "" {
			doc += strings.NewReplacer("{min}", f.min, "{max}", f.max).Replace(limits.In(lang))
		}
		def := ""
		if f.Default != "" {
			def = "`" + f.Default + "`"
		}
		b.WriteString("| `" + f.Name + "` | `" + f.Env() + "` | `--" + f.Flag() + "` | " + def + " | " + markdown.Replace(doc) + " |\n")
	}
	return b.String()
}
