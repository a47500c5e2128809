package node

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"kakehashi/client"
	"kakehashi/dcp"
	"kakehashi/did"
	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
	"kakehashi/jws"
	"kakehashi/vc"
)

// remoteWallet is a wallet that is no part of the node: it keeps the participant's
// key and credential, makes its tokens and shows what it keeps.
type remoteWallet struct {
	*httptest.Server
	did    string
	key    jws.Key
	held   atomic.Pointer[string]
	tokens atomic.Int64
}

const remoteSecret = "a secret of the wallet"

func (e *remoteWallet) serve(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/token":
		if err := r.ParseForm(); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		q, err := dcp.DecodeTokenRequest(r.PostForm)
		if err != nil || q.ClientID != "node" || q.ClientSecret != remoteSecret {
			http.Error(w, fmt.Sprint(err), http.StatusUnauthorized)
			return
		}
		access := q.Token
		if len(q.Scopes) > 0 {
			access = "access for " + q.Audience
		}
		raw, err := dcp.SelfIssue(rand.Reader, e.key, dcp.OwnToken{Self: e.did, Audience: q.Audience, JTI: rand.Text(), Issued: time.Now(), Lifetime: time.Minute, Access: access})
		if err != nil {
			panic(err)
		}
		e.tokens.Add(1)
		out, _ := strictjson.Encode(dcp.TokenResponse{Token: raw, Expires: 60, Type: "Bearer"})
		_, _ = w.Write(out)
	case "/presentations/query":
		body, _ := io.ReadAll(r.Body)
		if _, err := dcp.DecodeQuery(body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		claimed, err := jws.Parse(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), dcp.MaxToken)
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		var c struct {
			Iss   string `json:"iss"`
			Token string `json:"token"`
		}
		if err := strictjson.DecodeOpen(claimed.Payload, &c); err != nil || c.Token != "access for "+c.Iss {
			http.Error(w, "no access", http.StatusUnauthorized)
			return
		}
		cred, err := vc.ParseCredential(*e.held.Load())
		if err != nil {
			panic(err)
		}
		shown, err := vc.Present(vc.PresentConfig{Random: rand.Reader, Key: e.key, Holder: e.did, Audience: c.Iss, Now: time.Now(), Lifetime: time.Minute}, []vc.Credential{cred})
		if err != nil {
			panic(err)
		}
		out, _ := dcp.PresentationResponse{Presentations: shown}.Encode()
		_, _ = w.Write(out)
	default:
		http.NotFound(w, r)
	}
}

// use has a node go by the wallet.
func (e *remoteWallet) use(t *testing.T, p *place) {
	t.Helper()
	e.did = "did:web:" + strings.Replace(strings.TrimPrefix(p.settings.PublicURL, "http://"), ":", "%3A", 1)
	e.key.KID = e.did + "#wallet-1"
	jwk, err := did.NewJWK(e.key.Signer.Public())
	if err != nil {
		t.Fatal(err)
	}
	keys := fmt.Sprintf(`{"keys":[{"kty":%q,"crv":%q,"x":%q,"y":%q,"kid":%q}]}`, jwk.Kty, jwk.Crv, jwk.X, jwk.Y, e.key.KID)
	s := &p.settings
	s.WalletURL, s.WalletSTSURL, s.WalletSTSClient = e.URL, e.URL+"/token", "node"
	s.WalletSTSSecretFile, s.WalletKeysFile = filepath.Join(s.Data, "wallet.secret"), filepath.Join(s.Data, "wallet.jwks")
	if err := errors.Join(os.WriteFile(s.WalletSTSSecretFile, []byte(remoteSecret+"\n"), 0o600), os.WriteFile(s.WalletKeysFile, []byte(keys), 0o600)); err != nil {
		t.Fatal(err)
	}
}

func newRemoteWallet(t *testing.T) *remoteWallet {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	e := &remoteWallet{key: jws.Key{Alg: jws.ES256, Signer: k}}
	e.Server = httptest.NewServer(http.HandlerFunc(e.serve))
	t.Cleanup(e.Close)
	return e
}

func TestAWalletElsewhereShowsCredentialsAndSigns(t *testing.T) {
	t.Parallel()
	e := newRemoteWallet(t)
	a := newAllianceThat(t, func(p *place) {
		if p.settings.Participant == "munich" {
			e.use(t, p)
		}
	})
	made, err := a.authority.client().IssueCredential(t.Context(), client.IssueOrder{Type: "accreditation", Holder: e.did})
	if err != nil {
		t.Fatal(err)
	}
	e.held.Store(&made.Credential)
	if _, err := a.munich.client().ShareCredentials(t.Context(), client.WalletShare{Type: "Accreditation"}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.negotiate(t); err != nil {
		t.Fatalf("with a wallet elsewhere: %v", err)
	}
	if e.tokens.Load() == 0 {
		t.Error("the node made its tokens itself")
	}
	shown, err := a.tokyo.client().ShownCredentials(t.Context())
	if err != nil || len(shown.Items) != 1 || shown.Items[0].Digest != made.Digest {
		t.Errorf("%+v, %v", shown, err)
	}
}

func TestAWalletElsewhereThatIsHalfSetStopsTheStart(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*place){
		"no client":          func(p *place) { p.settings.WalletSTSClient = "" },
		"no keys":            func(p *place) { p.settings.WalletKeysFile = "" },
		"no secret":          func(p *place) { p.settings.WalletSTSSecretFile = "" },
		"keys of another":    func(p *place) { rewrite(t, p.settings.WalletKeysFile, "#wallet-1", ":x#wallet-1") },
		"a private key":      func(p *place) { rewrite(t, p.settings.WalletKeysFile, `"kty"`, `"d":"x","kty"`) },
		"keys that are none": func(p *place) { rewrite(t, p.settings.WalletKeysFile, `"keys"`, `"other"`) },
	} {
		p := newPlace(t, "munich")
		newRemoteWallet(t).use(t, &p)
		change(&p)
		n, err := Open(context.Background(), Config{Settings: p.settings, MasterKey: p.key, Version: "test", Log: slog.New(slog.DiscardHandler)})
		if err == nil {
			_ = n.Close()
		}
		if !errors.Is(err, fault.SettingPair) && !errors.Is(err, fault.WalletKeys) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func rewrite(t *testing.T, path, from, to string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(b), from, to, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}
