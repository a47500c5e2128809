package cli

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"

	"kakehashi/client"
	"kakehashi/did"
	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
	"kakehashi/jws"
	"kakehashi/trust"
)

// trustList is about lists of issuers. Sign and verify need no node.
type trustList struct {
	Show    listShow    `cmd:"" default:"withargs"`
	Add     listAdd     `cmd:""`
	Remove  listRemove  `cmd:""`
	Refresh listRefresh `cmd:""`
	Sign    listSign    `cmd:""`
	Verify  listVerify  `cmd:""`
}

func showLists(c *Context, all client.Many[client.TrustList]) error {
	return rows(c, all.Items, c.Text.T("trust.lists.empty"), func(l client.TrustList) []string {
		return []string{l.Name, fmt.Sprint(l.Version), l.State, c.Text.T("trust.until", "day", dateOf(l.NextUpdate)),
			c.Text.T("trust.list.holds", "issuers", fmt.Sprint(len(l.Issuers)), "recognitions", fmt.Sprint(len(l.Recognitions))), l.Problem}
	})
}

type listShow struct{ Reach }

func (t listShow) Run(ctx context.Context, c *Context) error {
	node, err := t.Client(c)
	if err != nil {
		return err
	}
	all, err := node.TrustLists(ctx)
	if err != nil {
		return err
	}
	return showLists(c, all)
}

type listAdd struct {
	Reach
	Name       string `arg:""`
	Key        string `required:"" placeholder:"DID"`
	URL        string `name:"url" placeholder:"URL"`
	File       string `placeholder:"FILE"`
	GraceHours int    `placeholder:"N"`
}

func (t listAdd) Run(ctx context.Context, c *Context) error {
	node, err := t.Client(c)
	if err != nil {
		return err
	}
	l := client.TrustList{Name: t.Name, Key: t.Key, URL: t.URL, GraceHours: t.GraceHours}
	if t.File != "" {
		if l.List, err = readFile(c, t.File); err != nil {
			return err
		}
	}
	got, err := node.AddTrustList(ctx, l)
	if err != nil {
		return err
	}
	return showLists(c, client.Many[client.TrustList]{Items: []client.TrustList{got}})
}

type listRemove struct {
	Reach
	Name string `arg:""`
}

func (t listRemove) Run(ctx context.Context, c *Context) error {
	node, err := t.Client(c)
	if err != nil {
		return err
	}
	if err := node.RemoveTrustList(ctx, t.Name); err != nil {
		return err
	}
	return c.Say(c.Text.T("trust.list.removed", "name", t.Name))
}

type listRefresh struct {
	Reach
	Name string `arg:"" optional:""`
}

func (t listRefresh) Run(ctx context.Context, c *Context) error {
	node, err := t.Client(c)
	if err != nil {
		return err
	}
	all, err := node.RefreshTrustLists(ctx, t.Name)
	if err != nil {
		return err
	}
	return showLists(c, all)
}

type listSign struct {
	File string `arg:""`
	Key  string `required:"" placeholder:"FILE"`
	Out  string `required:"" placeholder:"FILE"`
}

// Run signs a list with the key of an authority, which is made when its file is
// not there.
func (t listSign) Run(_ context.Context, c *Context) error {
	text, err := readFile(c, t.File)
	if err != nil {
		return err
	}
	var l trust.List
	if err := strictjson.Decode([]byte(text), &l); err != nil {
		return fault.TrustList.At(t.File, "reason", err.Error())
	}
	key, err := authorityKey(t.Key)
	if err != nil {
		return err
	}
	raw, err := trust.SignList(key, l)
	if err != nil {
		return err
	}
	if err := os.WriteFile(t.Out, []byte(raw+"\n"), 0o644); err != nil {
		return fault.FileUnwritten.At(t.Out, "path", t.Out).Because(err)
	}
	name, err := did.KeyName(key.Signer.Public())
	if err != nil {
		return err
	}
	if err := c.Emit(client.TrustList{Name: l.Name, Version: l.Version, Key: name}); err != nil {
		return err
	}
	return c.Say(c.Text.T("trust.list.signed", "name", l.Name, "version", fmt.Sprint(l.Version), "path", t.Out, "key", name))
}

// authorityKey reads a private key (PKCS#8 in PEM), or makes one.
func authorityKey(path string) (jws.Key, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return jws.Key{}, err
		}
		der, err := x509.MarshalPKCS8PrivateKey(k)
		if err != nil {
			return jws.Key{}, err
		}
		b = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
		if err := os.WriteFile(path, b, 0o600); err != nil {
			return jws.Key{}, fault.FileUnwritten.At(path, "path", path).Because(err)
		}
	} else if err != nil {
		return jws.Key{}, fault.FileUnopened.At(path, "path", path).Because(err)
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return jws.Key{}, fault.TrustList.At(path, "reason", "the file holds no private key in PEM")
	}
	private, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return jws.Key{}, fault.TrustList.At(path, "reason", "the file holds no private key in PKCS#8").Because(err)
	}
	signer, ok := private.(crypto.Signer)
	alg := ""
	if ok {
		alg = jws.AlgFor(signer.Public())
	}
	if alg == "" {
		return jws.Key{}, fault.TrustList.At(path, "reason", "the key is not EC P-256 or P-384, nor Ed25519")
	}
	return jws.Key{KID: "list", Alg: alg, Signer: signer}, nil
}

type listVerify struct {
	File string `arg:""`
	Key  string `required:"" placeholder:"DID"`
}

func (t listVerify) Run(_ context.Context, c *Context) error {
	text, err := readFile(c, t.File)
	if err != nil {
		return err
	}
	l, err := trust.OpenList(text, t.Key)
	if err != nil {
		return err
	}
	if err := c.Emit(l); err != nil {
		return err
	}
	return c.Say(c.Text.T("trust.list.verified", "name", l.Name, "version", fmt.Sprint(l.Version), "issuers", fmt.Sprint(len(l.Issuers)),
		"recognitions", fmt.Sprint(len(l.Recognitions)), "day", dateOf(l.NextUpdate)))
}
