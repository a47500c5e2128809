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
		Words{"this node does not filter its catalogue", "このノードはカタログの絞り込みに対応していません"},
		Words{"send the request without a filter and follow the Link headers", "filter を付けずに要求し、Link ヘッダーをたどってください"})
)
