package bundle

import "kakehashi/internal/fault"

// findings are the sentences of the report by code. {where} and {detail} are
// replaced by the members of the Finding.
var findings = map[string]fault.Words{
	"not-a-bundle":        {EN: "The file is not an evidence bundle: {detail}.", JA: "証跡バンドルではありません: {detail}"},
	"format":              {EN: "The bundle's format {detail} is not known to this program.", JA: "バンドルの形式 {detail} に、このプログラムは対応していません。"},
	"manifest":            {EN: "The manifest is not valid: {detail}.", JA: "マニフェストが正しくありません: {detail}"},
	"file-absent":         {EN: "{where} is absent.", JA: "{where} がありません。"},
	"file-damaged":        {EN: "{where} is damaged: {detail}.", JA: "{where} が壊れています: {detail}"},
	"file-surplus":        {EN: "{where} belongs to nothing in the bundle.", JA: "{where} は、バンドル内のどこからも参照されていません。"},
	"no-events":           {EN: "The bundle holds no event.", JA: "バンドルに事象が含まれていません。"},
	"log-key":             {EN: "The log key in the bundle is not valid or is of another log.", JA: "バンドル内のログ鍵が正しくないか、別のログのものです。"},
	"log-key-other":       {EN: "The log {detail} was signed with another key than the one that you trust.", JA: "ログ {detail} は、信頼する鍵とは別の鍵で署名されています。"},
	"log-of-another":      {EN: "The log belongs to {detail}, but the bundle speaks in the name of another.", JA: "このログは {detail} のものですが、バンドルは別の名義になっています。"},
	"checkpoint":          {EN: "The signed checkpoint in {where} is not valid: {detail}.", JA: "{where} の署名付きチェックポイントが正しくありません: {detail}"},
	"proof":               {EN: "The proof {where} is not valid: {detail}.", JA: "証明 {where} が正しくありません: {detail}"},
	"proofs-surplus":      {EN: "There are proofs without an event.", JA: "対応する事象のない証明があります。"},
	"not-in-log":          {EN: "{where} is not in the log that was signed: it was altered, or never recorded.", JA: "{where} は署名されたログに含まれていません。改変されたか、記録されていなかったものです。"},
	"event":               {EN: "The event {where} is not valid: {detail}.", JA: "事象 {where} が正しくありません: {detail}"},
	"event-twice":         {EN: "The event {detail} stands in the log twice.", JA: "事象 {detail} がログに重複しています。"},
	"event-of-another":    {EN: "The event {where} was recorded by {detail}, not by the owner of the bundle.", JA: "事象 {where} の記録者は {detail} であり、バンドルの所有者ではありません。"},
	"body-digest":         {EN: "The content of {where} is not what was recorded.", JA: "{where} の内容が記録と一致しません。"},
	"token-digest":        {EN: "The sender's token kept for {where} signs another message.", JA: "{where} とともに保存された送信者のトークンは、別のメッセージに対する署名です。"},
	"token-signature":     {EN: "The signature kept for {where} was not made with the key {detail}.", JA: "{where} とともに保存された署名は、鍵 {detail} によるものではありません。"},
	"body-missing":        {EN: "The content {where} ({detail}) is not in the bundle; only its digest is on record.", JA: "内容 {where}（{detail}）がバンドルにありません。記録されているのはダイジェストのみです。"},
	"withheld":            {EN: "The content {where} ({detail}) is kept back by the maker of the bundle; only its digest is shown.", JA: "内容 {where}（{detail}）は、作成者により非開示とされ、ダイジェストのみが示されています。"},
	"log-not-anchored":    {EN: "You hold no key of the log {where}: anybody could have made this bundle.", JA: "ログ {where} の鍵が信頼ファイルにありません。このバンドルは誰にでも作成できた可能性があります。"},
	"log-owner-unknown":   {EN: "Your anchor of the log {where} does not say that it speaks for {detail}.", JA: "信頼ファイルには、ログ {where} が {detail} のものであることが示されていません。"},
	"sender-unsigned":     {EN: "{detail} message(s) of {where}: authenticated, content not signed by the counterpart. That they read so rests on the word of the log's owner.", JA: "{where} からのメッセージ {detail} 件: 送信者は認証済みですが、内容に相手方の署名がありません。内容については、ログ所有者の記録のみが根拠となります。"},
	"sender-unproven":     {EN: "{detail} message(s) of {where}: no token is on record. Who sent them, and that they read so, rests on the word of the log's owner.", JA: "{where} からのメッセージ {detail} 件: トークンが記録されていません。送信者と内容については、ログ所有者の記録のみが根拠となります。"},
	"sender-not-anchored": {EN: "{detail} message(s) of {where} carry a signature, but you hold no key of the sender to check it with.", JA: "{where} からのメッセージ {detail} 件には署名がありますが、検証するための送信者の鍵が信頼ファイルにありません。"},
	"pair-same-side":      {EN: "Both bundles are of the same side, {detail}.", JA: "二つのバンドルは、どちらも同じ側（{detail}）のものです。"},
	"pair-agreement":      {EN: "The bundles are of different agreements: {detail}.", JA: "二つのバンドルは、別々の契約のものです: {detail}"},
}

var verdicts = map[Verdict]fault.Words{
	Verified:   {EN: "VERIFIED", JA: "検証済み"},
	Invalid:    {EN: "INVALID", JA: "無効"},
	Incomplete: {EN: "INCOMPLETE", JA: "不完全"},
	Consistent: {EN: "CONSISTENT, IDENTITIES NOT PROVEN", JA: "整合（身元は未証明）"},
}

var senders = map[Sender]fault.Words{
	SenderSigned:      {EN: "signed by its sender", JA: "送信者の署名あり"},
	SenderUnsigned:    {EN: "authenticated, content not signed by the counterpart", JA: "認証済み、内容に相手方の署名なし"},
	SenderUnproven:    {EN: "no proof of the sender on record", JA: "送信者の証明が記録にない"},
	SenderNotAnchored: {EN: "sender's key not anchored", JA: "送信者の鍵が信頼ファイルにない"},
}

// parts are the fixed sentences and headings.
var parts = map[string]fault.Words{
	"verdict":    {EN: "Verdict", JA: "判定"},
	"who":        {EN: "Who", JA: "誰が"},
	"recorder":   {EN: "recorded by {tenant}", JA: "記録者: {tenant}"},
	"with":       {EN: "with {names}", JA: "相手方: {names}"},
	"agreement":  {EN: "agreement {id}", JA: "契約: {id}"},
	"when":       {EN: "When", JA: "いつ"},
	"span":       {EN: "from {first} to {last}, by the clock of the recorder", JA: "{first} から {last} まで（記録者の時計による）"},
	"what":       {EN: "What", JA: "何を"},
	"sent":       {EN: "sent", JA: "送信"},
	"received":   {EN: "received", JA: "受信"},
	"problems":   {EN: "What is wrong", JA: "問題点"},
	"missing":    {EN: "What is absent", JA: "欠けているもの"},
	"proven":     {EN: "What is proven", JA: "証明されていること"},
	"unproven":   {EN: "What is not proven", JA: "証明されていないこと"},
	"nothing":    {EN: "nothing", JA: "なし"},
	"p-log":      {EN: "All {n} events stand unaltered at their positions in the log {origin}, whose owner signed {size} events with root {root}; the key is the one that you trust.", JA: "事象 {n} 件はすべて、ログ {origin} の該当位置に改変なく記録されています。ログの所有者は {size} 件（ルート {root}）に署名しており、その鍵は信頼ファイルのものと一致します。"},
	"p-self":     {EN: "The bundle agrees with itself: {n} events, one signed checkpoint. Nothing says who made it.", JA: "バンドルの内部は整合しています（事象 {n} 件、署名付きチェックポイント 1 件）。ただし、作成者を示すものはありません。"},
	"p-bodies":   {EN: "The contents in the bundle are those that were recorded, byte for byte.", JA: "バンドル内の内容は、記録されたものとバイト単位で一致します。"},
	"p-signed":   {EN: "{n} received message(s) carry the signature of their sender with a key that you trust.", JA: "受信メッセージ {n} 件には、信頼する鍵による送信者の署名があります。"},
	"u-time":     {EN: "The times are those of the recorder's clock; no witness or time-stamp authority confirms them.", JA: "時刻は記録者の時計によるもので、立会人やタイムスタンプ局による確認はありません。"},
	"u-all":      {EN: "That nothing else happened: what was never recorded, or was not put into this bundle, does not show. Compare it with the counterpart's bundle.", JA: "ほかに何も起きていないこと。記録されなかった事象や、バンドルに含められなかった事象は現れません。相手方のバンドルと照合してください。"},
	"u-sent":     {EN: "That sent messages arrived: only the counterpart's bundle shows that.", JA: "送信したメッセージが届いたこと。これを示すのは相手方のバンドルのみです。"},
	"u-truth":    {EN: "That what was recorded is true: the log proves recording, not truth.", JA: "記録の内容が真実であること。ログが証明するのは記録の事実であり、内容の真実性ではありません。"},
	"pair-both":  {EN: "{n} message(s) are on record on both sides with the same content.", JA: "メッセージ {n} 件は、双方に同一の内容で記録されています。"},
	"pair-one":   {EN: "On record with one side only", JA: "一方のみに記録されているもの"},
	"pair-left":  {EN: "First bundle", JA: "一つ目のバンドル"},
	"pair-right": {EN: "Second bundle", JA: "二つ目のバンドル"},
	"pair":       {EN: "Both sides compared", JA: "双方の照合"},
}
