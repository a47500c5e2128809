package fault

import "strings"

// Kinds of credentials and presentations: what is wrong with one that was shown,
// delivered or imported. Each names the credential by its type and issuer.
var (
	CredentialInvalid = Define("credential-invalid", 400,
		Words{"the credential cannot be read at {place}: {reason}", "資格証明の {place} を読み取れません: {reason}"},
		Words{"ask its issuer for one as VC 1.1 or VC 2.0, signed as a compact JWS", "VC 1.1 または VC 2.0 を JWS（コンパクト形式）で署名したものを発行者に依頼してください"})
	CredentialSignature = Define("credential-signature", 403,
		Words{"the {type} of {issuer} is not signed by a key of its issuer: {reason}", "{issuer} が発行した {type} は、発行者の鍵による署名と確認できません: {reason}"},
		Words{"ask the issuer for a new one; its key must stand under assertionMethod in its DID document", "発行者に再発行を依頼してください。署名鍵は発行者の DID ドキュメントの assertionMethod に掲載されている必要があります"})
	CredentialIssuer = Define("credential-issuer", 403,
		Words{"the {type} of {issuer} cannot be checked now: the DID document of its issuer cannot be had", "{issuer} が発行した {type} を確認できません。発行者の DID ドキュメントを取得できません"},
		Words{"try again once the issuer answers; check that its DID document is reachable from here", "発行者の DID ドキュメントがこのノードから取得できることを確認し、発行者が応答するようになってからもう一度お試しください"})
	CredentialExpired = Define("credential-expired", 403,
		Words{"the {type} of {issuer} expired at {at}", "{issuer} が発行した {type} の有効期限は {at} に切れています"},
		Words{"ask the issuer for a new one", "発行者に再発行を依頼してください"})
	CredentialEarly = Define("credential-not-yet-valid", 403,
		Words{"the {type} of {issuer} is valid from {at} only", "{issuer} が発行した {type} は {at} から有効です"},
		Words{"wait until then, or ask the issuer for one that is valid now", "その時刻まで待つか、現在有効なものを発行者に依頼してください"})
	CredentialRevoked = Define("credential-revoked", 403,
		Words{"the {type} of {issuer} is revoked, by bit {index} of {list}, read at {at}", "{issuer} が発行した {type} は失効しています（{list} のビット {index}、{at} に確認）"},
		Words{"ask the issuer why, and for a new one", "発行者に理由を確認し、再発行を依頼してください"})
	CredentialSuspended = Define("credential-suspended", 403,
		Words{"the {type} of {issuer} is suspended, by bit {index} of {list}, read at {at}", "{issuer} が発行した {type} は一時停止されています（{list} のビット {index}、{at} に確認）"},
		Words{"ask the issuer to lift the suspension", "発行者に一時停止の解除を依頼してください"})
	CredentialStatus = Define("credential-status", 403,
		Words{"whether the {type} of {issuer} is revoked cannot be found out: {reason}", "{issuer} が発行した {type} の失効状態を確認できません: {reason}"},
		Words{"ask the issuer to repair its status list {list}, then try again", "発行者にステータスリスト {list} の修復を依頼してから、もう一度お試しください"})
	CredentialUntrusted = Define("credential-untrusted", 403,
		Words{"{issuer} is not trusted to attest {type} here", "{issuer} は、このノードでは {type} の発行者として信頼されていません"},
		Words{"show one of an issuer that this node trusts, or ask its operator to trust this one: kakehashi trust add-issuer {issuer} --type {type}", "信頼されている発行者の資格証明を提示するか、ノードの運用者に kakehashi trust add-issuer {issuer} --type {type} での登録を依頼してください"})
	CredentialSubject = Define("credential-subject", 403,
		Words{"the {type} of {issuer} is about {subject}, not about {holder}", "{issuer} が発行した {type} の対象は {holder} ではなく {subject} です"},
		Words{"show a credential about yourself", "ご自身を対象とする資格証明を提示してください"})
	CredentialSchema = Define("credential-schema", 403,
		Words{"the {type} of {issuer} does not keep to its schema {schema}: {reason}", "{issuer} が発行した {type} は、スキーマ {schema} に適合していません: {reason}"},
		Words{"ask the issuer for one that keeps to the schema that it names", "指定されたスキーマに適合する資格証明を発行者に依頼してください"})
	CredentialLacking = Define("credential-lacking", 403,
		Words{"{partner} showed no {type} that is accepted here", "{partner} から、受理できる {type} が提示されていません"},
		Words{"share a {type} with this participant and send the message again: kakehashi trust share {type}", "この参加者に {type} を共有してから、メッセージを再送してください: kakehashi trust share {type}"})

	PresentationInvalid = Define("presentation-invalid", 403,
		Words{"the presentation is not accepted: {reason}", "提示された資格証明（プレゼンテーション）を受理できません: {reason}"},
		Words{"make a new presentation for this verifier, signed by the holder's own key", "この検証者宛てに、保有者自身の鍵で署名したプレゼンテーションを作り直してください"})
	PresentationUnreadable = Define("presentation-unreadable", 403,
		Words{"{partner} could not be asked for its credentials: {reason}", "{partner} に資格証明の提示を求められませんでした: {reason}"},
		Words{"check that its DID document names a CredentialService and that it answers", "相手の DID ドキュメントに CredentialService が記載され、応答することを確認してください"})
	NoPresentationExchange = Define("no-presentation-exchange", 501,
		Words{"queries by Presentation Exchange are not supported", "Presentation Exchange による照会には対応していません"},
		Words{"ask by scope, such as org.eclipse.dspace.dcp.vc.type:MembershipCredential:read", "org.eclipse.dspace.dcp.vc.type:MembershipCredential:read のように、スコープで照会してください"})
	NoService = Define("no-service", 422,
		Words{"the DID document of {did} names no {service}", "{did} の DID ドキュメントに {service} が記載されていません"},
		Words{"ask its owner to publish one, or hand the credential over as a file", "所有者に公開を依頼するか、資格証明をファイルで受け渡してください"})
	NotSuspendable = Define("not-suspendable", 409,
		Words{"the credential {id} names no list by which it could be suspended", "資格証明 {id} には一時停止用のステータスリストがありません"},
		Words{"revoke it, or issue the next ones under a type that is suspendable", "失効させるか、今後は一時停止が可能な種類として発行してください"})
	CredentialTypeUnknown = Define("type-not-issued", 400,
		Words{"this participant issues no {id}", "この参加者は {id} を発行していません"},
		Words{"take an id from the issuer's metadata, below /metadata", "発行者のメタデータ（/metadata）にある id を指定してください"})
	RequestExists = Define("request-exists", 409,
		Words{"a request with the holderPid {id} is there already, for other credentials", "holderPid {id} の要求は、別の資格証明についてすでに受け付けています"},
		Words{"choose another holderPid", "別の holderPid を指定してください"})
	RequestDecided = Define("request-decided", 409,
		Words{"the request {id} is {state}", "要求 {id} の状態は {state} です"},
		Words{"only a request that is waiting can be decided on", "決定できるのは、決定待ちの要求だけです"})
	DeliveryUnexpected = Define("delivery-unexpected", 403,
		Words{"nobody here asked {issuer} for {id}", "{issuer} に {id} を要求した記録がありません"},
		Words{"deliver under the holderPid of a request, or ask the holder to expect it: kakehashi trust expect", "要求時の holderPid で送付するか、保有者に受け入れの登録（kakehashi trust expect）を依頼してください"})
	DeliveryRepeated = Define("delivery-repeated", 409,
		Words{"under {id} something else was delivered before", "{id} については、異なる内容がすでに送付されています"},
		Words{"a delivery is final; issue anew under another request", "送付は一度限りです。別の要求として発行し直してください"})
	TrustList = Define("trust-list", 400,
		Words{"the trust list is not accepted at {place}: {reason}", "トラストリストの {place} を受理できません: {reason}"},
		Words{"get the newest edition from its authority, and pin the key that the authority publishes", "運営主体から最新版を入手し、公開されている鍵を登録してください"})
	TokenFailed = Define("token-check-failed", 422,
		Words{"the token is not accepted here", "このトークンは受理できません"},
		Words{"mend what the last step says, then check it again", "最後の段階に示された点を修正してから、もう一度確認してください"})
	FileUnopened = Define("file-unopened", 400,
		Words{"the file {path} cannot be read", "ファイル {path} を読み込めません"},
		Words{"check the path and its permissions", "パスとアクセス権を確認してください"})
	FileUnwritten = Define("file-unwritten", 400,
		Words{"the file {path} cannot be written", "ファイル {path} に書き込めません"},
		Words{"check the folder and its permissions", "フォルダーとアクセス権を確認してください"})
)

// OfCredential tells whether err is about a credential that is lacking or does not
// count: what its holder can mend by showing another.
func OfCredential(err error) bool {
	if err == nil {
		return false
	}
	k := Of(err).Kind
	return strings.HasPrefix(k.Code, "credential-") || k == PresentationInvalid || k == PresentationUnreadable
}

// Passing tells whether what stands in the way of a credential, by its code, may
// be over in a moment: somebody who has to be asked does not answer.
func Passing(code string) bool {
	return code == CredentialIssuer.Code || code == CredentialStatus.Code || code == PresentationUnreadable.Code
}
