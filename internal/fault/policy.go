package fault

// Kinds of policy.
var (
	OfferPermitsNothing = Define("offer-permits-nothing", 422,
		Words{"nobody could agree to these terms: {reason}", "この条件では誰も合意できません: {reason}"},
		Words{"correct the terms at {place}, for example a date that has passed", "{place} の条件（過ぎた期限など）を修正してください"})
)
