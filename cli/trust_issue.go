package cli

import (
	"context"
	"os"
	"strings"
	"time"

	"kakehashi/client"
	"kakehashi/internal/fault"
)

type trustDefine struct {
	Reach
	Type        string `arg:""`
	ID          string `name:"id" placeholder:"TEXT"`
	Profile     string `placeholder:"NAME"`
	Schema      string `placeholder:"URL"`
	Days        int    `placeholder:"N"`
	Approval    string `placeholder:"ask|attested|anybody"`
	Claims      string `placeholder:"JSON"`
	Suspendable bool
	Format      string `placeholder:"NAME"`
}

func (t trustDefine) Run(ctx context.Context, c *Context) error {
	node, err := t.Client(c)
	if err != nil {
		return err
	}
	claims, err := claimsOf(t.Claims)
	if err != nil {
		return err
	}
	if t.ID == "" {
		t.ID = t.Type
	}
	d, err := node.DefineType(ctx, client.IssuedType{ID: t.ID, Type: t.Type, Profile: t.Profile, Schema: t.Schema, Days: t.Days, Approval: t.Approval,
		Claims: claims, Suspendable: t.Suspendable, Format: t.Format})
	return said(c, d, err, c.Text.T("trust.defined", "type", d.Type, "approval", d.Approval))
}

type trustAttest struct {
	Reach
	Subject string `arg:""`
	Type    string `arg:""`
	Claims  string `placeholder:"JSON"`
}

func (t trustAttest) Run(ctx context.Context, c *Context) error {
	node, err := t.Client(c)
	if err != nil {
		return err
	}
	claims, err := claimsOf(t.Claims)
	if err != nil {
		return err
	}
	a, err := node.Attest(ctx, client.Attestation{Subject: t.Subject, Type: t.Type, Claims: claims})
	return said(c, a, err, c.Text.T("trust.attested", "type", t.Type, "subject", t.Subject))
}

type trustRequests struct{ Reach }

func (t trustRequests) Run(ctx context.Context, c *Context) error {
	node, err := t.Client(c)
	if err != nil {
		return err
	}
	all, err := node.IssuanceRequests(ctx)
	if err != nil {
		return err
	}
	return rows(c, all.Items, c.Text.T("trust.requests.empty"), func(q client.IssuanceRequest) []string {
		return []string{q.Created.Format(time.DateTime), q.State, strings.Join(q.Types, ", "), q.Holder, q.ID, q.Reason}
	})
}

type trustDecide struct {
	Reach
	ID     string `arg:"" name:"id"`
	Reject bool
	Reason string `placeholder:"TEXT"`
}

func (t trustDecide) Run(ctx context.Context, c *Context) error {
	node, err := t.Client(c)
	if err != nil {
		return err
	}
	if err := node.DecideIssuance(ctx, client.DecideIssuance{ID: t.ID, Approve: !t.Reject, Reason: t.Reason}); err != nil {
		return err
	}
	if t.Reject {
		return c.Say(c.Text.T("trust.rejected", "id", t.ID))
	}
	return c.Say(c.Text.T("trust.approved", "id", t.ID))
}

type trustIssue struct {
	Reach
	Type    string `arg:""`
	Holder  string `arg:""`
	Claims  string `placeholder:"JSON"`
	Deliver string `placeholder:"ID"`
	Out     string `placeholder:"FILE"`
}

func (t trustIssue) Run(ctx context.Context, c *Context) error {
	node, err := t.Client(c)
	if err != nil {
		return err
	}
	claims, err := claimsOf(t.Claims)
	if err != nil {
		return err
	}
	made, err := node.IssueCredential(ctx, client.IssueOrder{Type: t.Type, Holder: t.Holder, Claims: claims, HolderPid: t.Deliver})
	if err != nil {
		return err
	}
	if err := c.Emit(made); err != nil {
		return err
	}
	if err := c.Say(c.Text.T("trust.issued", "type", made.Type, "holder", made.Holder, "id", made.ID)); err != nil || t.Deliver != "" {
		return err
	}
	if t.Out == "" {
		return c.Say(made.Credential)
	}
	if err := os.WriteFile(t.Out, []byte(made.Credential+"\n"), 0o600); err != nil {
		return fault.FileUnwritten.At(t.Out, "path", t.Out).Because(err)
	}
	return c.Say(c.Text.T("trust.written", "path", t.Out))
}

type trustIssued struct{ Reach }

func (t trustIssued) Run(ctx context.Context, c *Context) error {
	node, err := t.Client(c)
	if err != nil {
		return err
	}
	all, err := node.IssuedCredentials(ctx)
	if err != nil {
		return err
	}
	return rows(c, all.Items, c.Text.T("trust.issued.empty"), func(i client.IssuedCredential) []string {
		return []string{i.At.Format(time.DateTime), i.State, i.Type, i.Holder, c.Text.T("trust.until", "day", dateOf(i.Until)), i.ID, i.Reason}
	})
}

type trustRevoke struct {
	Reach
	ID      string `arg:"" name:"id"`
	Suspend bool
	Resume  bool
	Reason  string `placeholder:"TEXT"`
}

func (t trustRevoke) Run(ctx context.Context, c *Context) error {
	node, err := t.Client(c)
	if err != nil {
		return err
	}
	to := "revoked"
	switch {
	case t.Suspend:
		to = "suspended"
	case t.Resume:
		to = "valid"
	}
	if err := node.MarkCredential(ctx, client.MarkCredential{ID: t.ID, State: to, Reason: t.Reason}); err != nil {
		return err
	}
	return c.Say(c.Text.T("trust.marked."+to, "id", t.ID))
}

type trustOffer struct {
	Reach
	Holder string   `arg:""`
	Types  []string `arg:""`
	Reason string   `placeholder:"TEXT"`
}

func (t trustOffer) Run(ctx context.Context, c *Context) error {
	node, err := t.Client(c)
	if err != nil {
		return err
	}
	if err := node.OfferCredentials(ctx, client.OfferCredentials{Holder: t.Holder, Types: t.Types, Reason: t.Reason}); err != nil {
		return err
	}
	return c.Say(c.Text.T("trust.offered", "holder", t.Holder))
}

type trustRotate struct {
	Reach
	Alg      string `placeholder:"ES256|ES384|EdDSA"`
	KeepDays int    `default:"400" placeholder:"N"`
}

func (t trustRotate) Run(ctx context.Context, c *Context) error {
	node, err := t.Client(c)
	if err != nil {
		return err
	}
	keys, err := node.RotateKey(ctx, client.Rotation{Alg: t.Alg, KeepDays: t.KeepDays})
	if err != nil {
		return err
	}
	return rows(c, keys.Items, c.Text.T("trust.keys.empty"), func(k client.PublishedKey) []string {
		state := c.Text.T("trust.key.current")
		if !k.Retired.IsZero() {
			state = c.Text.T("trust.key.retired", "day", dateOf(k.Retired))
		}
		return []string{k.KID, k.Alg, k.Purpose, state}
	})
}
