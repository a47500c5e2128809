package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"kakehashi/client"
	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
)

// trustCommand is about credentials: whom this node believes, what it shows of its
// own, and what it attests about others.
type trustCommand struct {
	Show         trustShow         `cmd:""`
	Request      trustRequest      `cmd:""`
	Import       trustImport       `cmd:""`
	Expect       trustExpect       `cmd:""`
	Share        trustShare        `cmd:""`
	AddIssuer    trustAddIssuer    `cmd:""`
	RemoveIssuer trustRemoveIssuer `cmd:""`
	Issuers      trustIssuers      `cmd:""`
	Rule         trustRule         `cmd:""`
	List         trustList         `cmd:""`
	DebugToken   trustDebugToken   `cmd:""`
	Define       trustDefine       `cmd:""`
	Attest       trustAttest       `cmd:""`
	Requests     trustRequests     `cmd:""`
	Decide       trustDecide       `cmd:""`
	Issue        trustIssue        `cmd:""`
	Issued       trustIssued       `cmd:""`
	Revoke       trustRevoke       `cmd:""`
	Offer        trustOffer        `cmd:""`
	Rotate       trustRotate       `cmd:""`
}

// rows prints a table, and each item as JSON.
func rows[T any](c *Context, all []T, empty string, row func(T) []string) error {
	var out [][]string
	for _, x := range all {
		if err := c.Emit(x); err != nil {
			return err
		}
		out = append(out, row(x))
	}
	return c.table(out, empty)
}

// said ends a command: what the node answered as JSON, and a line for people.
func said(c *Context, answer any, err error, line string) error {
	if err != nil {
		return err
	}
	if err := c.Emit(answer); err != nil {
		return err
	}
	return c.Say(line)
}

func dateOf(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Format(time.DateOnly)
}

type trustShow struct{ Reach }

func (t trustShow) Run(ctx context.Context, c *Context) error {
	node, err := t.Client(c)
	if err != nil {
		return err
	}
	own, err := node.WalletCredentials(ctx)
	if err != nil {
		return err
	}
	shares, err := node.WalletShares(ctx)
	if err != nil {
		return err
	}
	shown, err := node.ShownCredentials(ctx)
	if err != nil {
		return err
	}
	with := func(types []string) string {
		var out []string
		for _, s := range shares.Items {
			for _, t := range types {
				if s.Type != t {
					continue
				}
				if s.Counterparty == "" {
					return c.Text.T("trust.everybody")
				}
				out = append(out, s.Counterparty)
			}
		}
		if len(out) == 0 {
			return c.Text.T("trust.nobody")
		}
		return strings.Join(out, ", ")
	}
	state := func(x client.ShownCredential) string {
		if x.Problem != "" {
			return x.Problem
		}
		return c.Text.T("trust.good")
	}
	if err := c.Say(c.Text.T("trust.own")); err != nil {
		return err
	}
	if err := rows(c, own.Items, c.Text.T("trust.own.empty"), func(x client.ShownCredential) []string {
		return []string{kindOf(x.Types), x.Issuer, c.Text.T("trust.until", "day", dateOf(x.Until)), c.Text.T("trust.shared", "with", with(x.Types)), state(x), x.Digest}
	}); err != nil {
		return err
	}
	if err := c.Say(c.Text.T("trust.shown")); err != nil {
		return err
	}
	return rows(c, shown.Items, c.Text.T("trust.shown.empty"), func(x client.ShownCredential) []string {
		return []string{x.Counterparty, kindOf(x.Types), x.Issuer, x.Basis, state(x)}
	})
}

// kindOf is the most telling of some types.
func kindOf(types []string) string {
	for _, t := range types {
		if t != "VerifiableCredential" {
			return t
		}
	}
	return strings.Join(types, " ")
}

type trustRequest struct {
	Reach
	Issuer string   `arg:""`
	Types  []string `arg:""`
}

func (t trustRequest) Run(ctx context.Context, c *Context) error {
	node, err := t.Client(c)
	if err != nil {
		return err
	}
	q, err := node.RequestCredentials(ctx, client.WalletRequest{Issuer: t.Issuer, Types: t.Types})
	return said(c, q, err, c.Text.T("trust.requested", "issuer", t.Issuer, "id", q.HolderPid))
}

type trustImport struct {
	Reach
	File string `arg:""`
}

// maxFile is how much of a file with a token, credential or list is read.
const maxFile = 8 << 20

func readFile(c *Context, name string) (string, error) {
	var b []byte
	var err error
	if name == "-" {
		b, err = io.ReadAll(io.LimitReader(os.Stdin, maxFile))
	} else {
		b, err = os.ReadFile(name)
	}
	if err != nil {
		return "", fault.FileUnopened.At(name, "path", name).Because(err)
	}
	return strings.TrimSpace(string(b)), nil
}

func (t trustImport) Run(ctx context.Context, c *Context) error {
	node, err := t.Client(c)
	if err != nil {
		return err
	}
	raw, err := readFile(c, t.File)
	if err != nil {
		return err
	}
	got, err := node.ImportCredential(ctx, raw)
	return said(c, got, err, c.Text.T("trust.imported", "type", kindOf(got.Types), "issuer", got.Issuer))
}

type trustExpect struct {
	Reach
	Issuer   string `arg:""`
	ID       string `arg:"" name:"id"`
	Standing bool
}

func (t trustExpect) Run(ctx context.Context, c *Context) error {
	node, err := t.Client(c)
	if err != nil {
		return err
	}
	q, err := node.ExpectCredentials(ctx, client.WalletRequest{Issuer: t.Issuer, HolderPid: t.ID, Standing: t.Standing})
	return said(c, q, err, c.Text.T("trust.expected", "issuer", t.Issuer, "id", t.ID))
}

type trustShare struct {
	Reach
	Type string `arg:""`
	With string `placeholder:"DID"`
	Stop bool
}

func (t trustShare) Run(ctx context.Context, c *Context) error {
	node, err := t.Client(c)
	if err != nil {
		return err
	}
	s, err := node.ShareCredentials(ctx, client.WalletShare{Type: t.Type, Counterparty: t.With, Stop: t.Stop})
	if err != nil {
		return err
	}
	if err := c.Emit(s); err != nil {
		return err
	}
	with := t.With
	if with == "" {
		with = c.Text.T("trust.everybody")
	}
	if t.Stop {
		return c.Say(c.Text.T("trust.shares.no", "type", t.Type, "with", with))
	}
	return c.Say(c.Text.T("trust.shares", "type", t.Type, "with", with))
}

type trustAddIssuer struct {
	Reach
	DID            string   `arg:"" name:"did"`
	Type           []string `required:"" placeholder:"TYPE"`
	Region         string   `placeholder:"TEXT"`
	UnsignedStatus bool
}

func (t trustAddIssuer) Run(ctx context.Context, c *Context) error {
	node, err := t.Client(c)
	if err != nil {
		return err
	}
	i, err := node.TrustIssuer(ctx, client.TrustedIssuer{DID: t.DID, Types: t.Type, Region: t.Region, UnsignedStatus: t.UnsignedStatus})
	return said(c, i, err, c.Text.T("trust.issuer.added", "did", t.DID, "types", strings.Join(t.Type, ", ")))
}

type trustRemoveIssuer struct {
	Reach
	DID string `arg:"" name:"did"`
}

func (t trustRemoveIssuer) Run(ctx context.Context, c *Context) error {
	node, err := t.Client(c)
	if err != nil {
		return err
	}
	if err := node.DistrustIssuer(ctx, t.DID); err != nil {
		return err
	}
	return c.Say(c.Text.T("trust.issuer.removed", "did", t.DID))
}

type trustIssuers struct{ Reach }

func (t trustIssuers) Run(ctx context.Context, c *Context) error {
	node, err := t.Client(c)
	if err != nil {
		return err
	}
	all, err := node.TrustedIssuers(ctx)
	if err != nil {
		return err
	}
	return rows(c, all.Items, c.Text.T("trust.issuers.empty"), func(i client.TrustedIssuer) []string {
		return []string{i.DID, strings.Join(i.Types, ", "), i.Region}
	})
}

type trustRule struct {
	Reach
	DID      string `arg:"" optional:"" name:"did"`
	Lenient  bool
	TwoParts bool
	Ask      []string `placeholder:"TYPE"`
	Show     bool
}

func (t trustRule) Run(ctx context.Context, c *Context) error {
	node, err := t.Client(c)
	if err != nil {
		return err
	}
	if !t.Show {
		if _, err := node.SetTrustRule(ctx, client.TrustRule{Counterparty: t.DID, Lenient: t.Lenient, TwoParts: t.TwoParts, Ask: t.Ask}); err != nil {
			return err
		}
	}
	all, err := node.TrustRules(ctx)
	if err != nil {
		return err
	}
	return rows(c, all.Items, c.Text.T("trust.rules.empty"), func(r client.TrustRule) []string {
		who := r.Counterparty
		if who == "" {
			who = c.Text.T("trust.everybody")
		}
		var what []string
		if r.Lenient {
			what = append(what, "lenient")
		}
		if r.TwoParts {
			what = append(what, "two-parts")
		}
		return []string{who, strings.Join(what, ", "), strings.Join(r.Ask, ", ")}
	})
}

type trustDebugToken struct {
	Reach
	Token string `arg:""`
}

func (t trustDebugToken) Run(ctx context.Context, c *Context) error {
	node, err := t.Client(c)
	if err != nil {
		return err
	}
	raw := t.Token
	if _, statErr := os.Stat(raw); raw == "-" || statErr == nil {
		if raw, err = readFile(c, raw); err != nil {
			return err
		}
	}
	steps, err := node.ExplainToken(ctx, strings.TrimPrefix(raw, "Bearer "))
	if err != nil {
		return err
	}
	bad := false
	for _, s := range steps.Items {
		if err := c.Emit(s); err != nil {
			return err
		}
		mark, detail := "✓", s.Saw
		if !s.OK {
			mark, detail, bad = "✗", s.Reason, true
		}
		if err := c.Say(fmt.Sprintf("%s %s (%s): %s", mark, c.Text.T("trust.step."+s.Name), s.Place, detail)); err != nil {
			return err
		}
		if !s.OK && s.Remedy != "" {
			if err := c.Say("  → " + s.Remedy); err != nil {
				return err
			}
		}
	}
	if bad {
		return fault.TokenFailed.At("")
	}
	return c.Say(c.Text.T("trust.token.good"))
}

// claimsOf reads a JSON object of claims, or nothing.
func claimsOf(text string) (map[string]any, error) {
	if text == "" {
		return nil, nil
	}
	var out map[string]any
	if err := strictjson.Decode([]byte(text), &out); err != nil {
		return nil, fault.BadMessage.At("--claims", "reason", err.Error())
	}
	return out, nil
}
