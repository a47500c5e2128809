package dcphttp

import (
	"net/http"
	"net/url"

	"kakehashi/dcp"
	"kakehashi/internal/bound"
	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
	"kakehashi/participant"
)

// TokenScope is the scope of an API token whose holder may have self-issued tokens
// made: the token is the client secret, the participant's name the client id.
const TokenScope = "sts"

const maxForm = 64 << 10

// Tokens is the form POST /token of a secure token service (non-normative in DCP
// 1.0), for agents of the participant's own: it belongs on the admin listener.
func (s *Server) Tokens() http.Handler {
	return bound.Requests{Within: s.c.Within, Refuse: func(w http.ResponseWriter, r *http.Request, err error) {
		(&call{s: s, w: w, r: r}).failToken(err)
	}}.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &call{s: s, w: w, r: r}
		if !c.method(http.MethodPost) {
			return
		}
		answer, err := c.token()
		if err != nil {
			c.failToken(err)
			return
		}
		body, err := strictjson.Encode(answer)
		if err != nil {
			c.failToken(err)
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		c.answer(http.StatusOK, plainJSON, body)
	}))
}

func (c *call) token() (dcp.TokenResponse, error) {
	b, err := strictjson.Read(c.r.Body, maxForm)
	if err != nil {
		return dcp.TokenResponse{}, fault.BadMessage.At("", "reason", "the form could not be read").Because(err)
	}
	form, err := url.ParseQuery(string(b))
	if err != nil {
		return dcp.TokenResponse{}, fault.BadMessage.At("", "reason", "the body is no form").Because(err)
	}
	q, err := dcp.DecodeTokenRequest(form)
	if err != nil {
		return dcp.TokenResponse{}, err
	}
	who, err := c.s.c.Accounts.Check(c.r.Context(), q.ClientSecret)
	if err != nil {
		return dcp.TokenResponse{}, err
	}
	if who.Participant != participant.ID(q.ClientID) {
		return dcp.TokenResponse{}, fault.APITokenInvalid.At("")
	}
	if err := who.May(TokenScope); err != nil {
		return dcp.TokenResponse{}, err
	}
	return c.s.c.Wallet.Token(c.r.Context(), who.Participant, q)
}

// failToken answers with the list of errors that the form's interface has.
func (c *call) failToken(err error) {
	f := fault.Of(err).Outside()
	code := "invalid_request"
	if f.Kind.Status == http.StatusUnauthorized || f.Kind.Status == http.StatusForbidden {
		code = "invalid_client"
	}
	body, err := strictjson.Encode([]dcp.TokenError{{Code: code, Description: f.What("en") + "; " + f.Remedy("en")}})
	if err != nil {
		body = nil
	}
	c.answer(f.Kind.Status, plainJSON, body)
}
