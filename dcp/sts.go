package dcp

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
)

// TokenRequest is the form of POST /token of a secure token service, the
// non-normative interface of DCP 1.0.
type TokenRequest struct {
	ClientID, ClientSecret string
	Audience               string   // DID of who is to get the token
	Scopes                 []string // what an access token within it is to allow; none: no such token
	Token                  string   // access token of the audience's to carry back, or ""
}

// DecodeTokenRequest reads the form. The error is fault.BadMessage.
func DecodeTokenRequest(form url.Values) (TokenRequest, error) {
	for name, values := range form {
		if len(values) > 1 {
			return TokenRequest{}, refuse(name, "it is given twice")
		}
	}
	if form.Get("grant_type") != "client_credentials" {
		return TokenRequest{}, refuse("grant_type", "it is not client_credentials")
	}
	r := TokenRequest{ClientID: form.Get("client_id"), ClientSecret: form.Get("client_secret"), Audience: form.Get("audience"),
		Scopes: strings.Fields(form.Get("bearer_access_scope")), Token: form.Get("token")}
	for name, value := range map[string]string{"client_id": r.ClientID, "client_secret": r.ClientSecret, "audience": r.Audience} {
		if value == "" {
			return TokenRequest{}, refuse(name, "it is missing")
		}
	}
	if len(r.Scopes) > 0 && r.Token != "" {
		return TokenRequest{}, refuse("token", "token and bearer_access_scope exclude each other")
	}
	return r, nil
}

// TokenResponse is the answer.
type TokenResponse struct {
	Token   string `json:"access_token"`
	Expires int    `json:"expires_in"` // seconds
	Type    string `json:"token_type"` // Bearer
}

// TokenError is an entry of the list with which a request is refused.
type TokenError struct {
	Code        string `json:"error"`
	Description string `json:"error_description"`
}

const (
	maxTokenAnswer = 64 << 10
	tokenTimeout   = 10 * time.Second
)

// FetchToken asks a secure token service elsewhere.
func FetchToken(ctx context.Context, client *http.Client, address string, r TokenRequest) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, tokenTimeout)
	defer cancel()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {r.ClientID}, "client_secret": {r.ClientSecret}, "audience": {r.Audience}}
	if len(r.Scopes) > 0 {
		form.Set("bearer_access_scope", strings.Join(r.Scopes, " "))
	}
	if r.Token != "" {
		form.Set("token", r.Token)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return "", fault.PartnerUnreachable.At(address, "address", address).Because(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return "", fault.PartnerUnreachable.At(address, "address", address).Because(err)
	}
	defer resp.Body.Close()
	body, err := strictjson.Read(resp.Body, maxTokenAnswer)
	if err != nil {
		return "", fault.PartnerUnreachable.At(address, "address", address).Because(err)
	}
	if resp.StatusCode != http.StatusOK {
		return "", &Refusal{URL: address, Status: resp.StatusCode}
	}
	var a TokenResponse
	if err := strictjson.DecodeOpen(body, &a); err != nil || a.Token == "" {
		return "", fault.AnswerNotUnderstood.At(address, "partner", address, "reason", "the answer holds no access_token").Because(fmt.Errorf("decode the answer: %w", err))
	}
	return a.Token, nil
}
