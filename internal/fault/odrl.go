package fault

// What policies get refused for.
var (
	TermsNotUnderstood = Define("terms-not-understood", 400,
		Words{"the terms are not understood: {reason}", "条件を解釈できません: {reason}"},
		Words{"correct or remove the member at {place}", "{place} の項目を修正するか削除してください"})
)
