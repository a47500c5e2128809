package fault

// What a catalogue and its offers refuse.
var (
	DatasetIncomplete = Define("dataset-incomplete", 422,
		Words{"the dataset lacks a valid {member}", "データセットの {member} が正しく指定されていません"},
		Words{"fill in {member} and publish again", "{member} を指定してもう一度公開してください"})
	FormatName = Define("format-name", 422,
		Words{"{format} cannot be the name of a format", "{format} は形式名として使えません"},
		Words{"name it like Word-PULL or Word-PUSH, with no other hyphen", "Word-PULL または Word-PUSH の形（ハイフンは 1 つだけ）にしてください"})
	OfferUnknown = Define("offer-unknown", 400,
		Words{"no offer {offer} is known here", "オファー {offer} は存在しません"},
		Words{"ask for the catalogue again and take an offer from it", "カタログを取得し直し、掲載されているオファーを指定してください"})
	OfferWithdrawn = Define("offer-withdrawn", 400,
		Words{"the offer {offer} was withdrawn; now in force: {instead}", "オファー {offer} は取り下げられました。現在有効なオファー: {instead}"},
		Words{"ask for the catalogue again and take the offer in force", "カタログを取得し直し、有効なオファーを指定してください"})
	OfferExists = Define("offer-exists", 409,
		Words{"the offer {offer} exists already, and an offer never changes", "オファー {offer} は既に存在します。オファーは変更できません"},
		Words{"publish the new terms under a new offer id", "新しい条件は新しいオファー ID で公開してください"})
	OfferNotUnderstood = Define("offer-not-understood", 422,
		Words{"the terms cannot be enforced here: {reason}", "この条件はこのノードでは執行できません: {reason}"},
		Words{"use terms that this node knows; the place is {place}", "このノードが対応する条件を使ってください（該当箇所: {place}）"})
	TermsDeny = Define("terms-deny", 403,
		Words{"the terms do not permit it: {reason}", "契約条件により許可されません: {reason}"},
		Words{"meet the condition that is named, or ask for other terms", "示された条件を満たすか、別の条件を相手と取り決めてください"})
	AgreementUnknown = Define("agreement-unknown", 400,
		Words{"no agreement {agreement} is in force between the two parties", "両者の間に有効な契約 {agreement} はありません"},
		Words{"negotiate first and name the agreement that results", "先に交渉を行い、成立した契約を指定してください"})
	AgreementEnded = Define("agreement-ended", 403,
		Words{"the agreement {agreement} has ended: {reason}", "契約 {agreement} は終了しています: {reason}"},
		Words{"negotiate a new agreement", "新しい契約を交渉してください"})
)
