package fault

// What callers of a node's management API meet.
var (
	NodeUnreachable = Define("node-unreachable", 502,
		Words{"the node at {address} does not answer", "{address} のノードが応答しません"},
		Words{"start it with: kakehashi serve --config node.yaml", "kakehashi serve --config node.yaml で起動してください"})
	Unauthorized = Define("unauthorized", 401,
		Words{"no valid token or session", "有効なトークンまたはセッションがありません"},
		Words{"send Authorization: Bearer with an API token, or open a new portal link (kakehashi portal)", "API トークンを Authorization: Bearer で送るか、kakehashi portal で新しいリンクを開いてください"})
	CrossSite = Define("cross-site", 403,
		Words{"the request came from another site", "別のサイトから送られた要求です"},
		Words{"open the portal itself and do it there", "ポータルを直接開いて操作してください"})
)
