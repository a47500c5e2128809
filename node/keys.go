package node

import (
	"context"
	"crypto"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"kakehashi/dcp"
	"kakehashi/did"
	"kakehashi/evidence"
	"kakehashi/identity"
	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
	"kakehashi/internal/watch"
	"kakehashi/jws"
	"kakehashi/participant"
	"kakehashi/store"
)

// keysChanged is the kind of the change that tells other replicas of a new key.
const keysChanged = "keys"

// keyring lists and rotates the keys of participants, and tells who remembers
// their documents.
type keyring struct {
	n        *Node
	resolver *identity.WebResolver
	hub      *watch.Hub
}

func (n *Node) keyring(resolver *identity.WebResolver, hub *watch.Hub) *keyring {
	k := &keyring{n, resolver, hub}
	hub.Elsewhere(keysChanged, func(watch.Change, bool) {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := n.participants.Reload(ctx); err != nil {
			n.c.Log.Warn("keys were not read again", "err", err)
		}
		k.forget()
	})
	return k
}

func (k *keyring) forget() {
	for _, p := range k.n.participants.All() {
		k.resolver.Forget(p.DID)
	}
}

// Published lists the keys that stand in a participant's document.
func (k *keyring) Published(p participant.ID) ([]participant.PublishedKey, error) {
	return k.n.participants.Published(p)
}

// Rotate gives a participant a new token key; the old one stays in its document
// for keep.
func (k *keyring) Rotate(ctx context.Context, p participant.ID, alg string, keep time.Duration) (old, fresh participant.Key, err error) {
	old, fresh, err = k.n.participants.Rotate(ctx, p, alg, keep, func(tx store.Tx, old, fresh participant.Key) error {
		return k.n.evidence.Append(tx, p, evidence.Leaf{Type: "kh.key.rotated", Facts: map[string]string{
			"old": old.KID, "new": fresh.KID, "alg": fresh.Alg, "keep": keep.String()}})
	})
	if err != nil {
		return old, fresh, err
	}
	k.forget()
	k.hub.Publish(watch.Change{Participant: string(p), Kind: keysChanged, At: k.n.c.Now()})
	return old, fresh, nil
}

// share is what our tokens carry. The wallet is opened after identity, which asks
// this for each message.
func (n *Node) share(ctx context.Context, p participant.ID, counterparty string) (string, error) {
	return n.wallet.AccessToken(ctx, p, counterparty)
}

// remoteWallet reads the settings of a wallet elsewhere; nil when there is none.
func (n *Node) remoteWallet(client *http.Client) (identity.Remote, error) {
	s := n.c.Settings
	if s.WalletURL == "" {
		return nil, nil
	}
	for name, value := range map[string]string{"wallet_sts_url": s.WalletSTSURL, "wallet_sts_client": s.WalletSTSClient,
		"wallet_sts_secret_file": s.WalletSTSSecretFile, "wallet_keys_file": s.WalletKeysFile} {
		if value == "" {
			return nil, fault.SettingPair.At(s.Place("wallet_url"), "name", "wallet_url", "other", name)
		}
	}
	secret, err := os.ReadFile(s.WalletSTSSecretFile)
	if err != nil {
		return nil, fmt.Errorf("read wallet_sts_secret_file: %w", err)
	}
	us := n.participants.All()[0]
	keys, err := walletKeys(s.WalletKeysFile, us.DID)
	if err != nil {
		return nil, err
	}
	n.participants.Away(us.ID, participant.Wallet{Service: s.WalletURL, Keys: keys})
	return func(ctx context.Context, p participant.ID, counterparty string, u identity.Use) (string, bool, error) {
		if p != us.ID {
			return "", false, nil
		}
		q := dcp.TokenRequest{ClientID: s.WalletSTSClient, ClientSecret: strings.TrimSpace(string(secret)), Audience: counterparty, Token: u.Echo}
		if u.Echo == "" && !u.Bare {
			for _, share := range n.wallet.Shares(p) {
				if share.Counterparty == "" || share.Counterparty == counterparty {
					q.Scopes = append(q.Scopes, dcp.TypeScope(share.Type).String())
				}
			}
		}
		token, err := dcp.FetchToken(ctx, client, s.WalletSTSURL, q)
		return token, true, err
	}, nil
}

// walletKeys reads the public keys of a wallet: a JSON Web Key Set.
func walletKeys(file, name string) ([]participant.PublishedKey, error) {
	bad := func(reason string) error { return fault.WalletKeys.At(file, "file", file, "reason", reason) }
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read wallet_keys_file: %w", err)
	}
	var set struct {
		Keys []struct {
			did.JWK
			KID string         `json:"kid"`
			D   strictjson.Raw `json:"d"`
		} `json:"keys"`
	}
	if err := strictjson.DecodeOpen(b, &set); err != nil {
		return nil, bad(err.Error())
	}
	var out []participant.PublishedKey
	for _, k := range set.Keys {
		var public crypto.PublicKey
		switch public, err = k.Public(); {
		case err != nil:
			return nil, bad(err.Error())
		case k.D != nil:
			return nil, bad("it holds a private key")
		case !strings.HasPrefix(k.KID, name+"#"):
			return nil, bad("the kid " + k.KID + " is no key of " + name)
		}
		out = append(out, participant.PublishedKey{Key: participant.PublicHalf(k.KID, jws.AlgFor(public), public), Purpose: participant.Token})
	}
	if len(out) == 0 {
		return nil, bad("it holds no key")
	}
	return out, nil
}
