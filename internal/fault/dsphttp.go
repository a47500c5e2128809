package fault

// What comes back from counterparts over the Dataspace Protocol.
var (
	AnswerNotUnderstood = Define("answer-not-understood", 502,
		Words{"the answer of {partner} is not understood: {reason}", "{partner} からの応答を解釈できません: {reason}"},
		Words{"tell the partner's operator; the address is {place}", "相手の運用者に連絡してください（アドレス: {place}）"})
	PartnerRefused = Define("partner-refused", 502,
		Words{"{partner} refused with {status} {code}: {reason}", "{partner} が拒否しました（{status} {code}）: {reason}"},
		Words{"do what the reason names, or ask the partner's operator", "示された理由に従って対処するか、相手の運用者に問い合わせてください"})
	CatalogFilter = Define("catalog-filter-unsupported", 400,
		Words{"the catalogue filter cannot be applied: {reason}", "カタログの filter を適用できません: {reason}"},
		Words{"correct {place}: a filter is one QuerySpec with offset, limit, sortField (id or title), sortOrder and criteria on id, title, description, format or a published member; without a filter everything is shown, page by page",
			"{place} を修正してください。filter に指定できるのは QuerySpec 1 件で、offset、limit、sortField（id または title）、sortOrder と、id・title・description・format・公開済みの項目に対する条件を使えます。filter を省くと全件をページ単位で返します"})
	CatalogToken = Define("catalog-token-damaged", 400,
		Words{"the continuation token {token} is damaged", "継続トークン {token} が壊れています"},
		Words{"follow the address in the Link header unchanged, or begin again without a token", "Link ヘッダーのアドレスを変更せずに使うか、トークンなしで最初からやり直してください"})
	FurtherCatalog = Define("further-catalog-invalid", 422,
		Words{"the catalogue {title} cannot be shown: {reason}", "カタログ {title} を掲載できません: {reason}"},
		Words{"give a title and the https base URL of its connector; at most 100 are shown", "題名と、コネクターのベース URL（https）を指定してください。掲載できるのは 100 件までです"})
)
