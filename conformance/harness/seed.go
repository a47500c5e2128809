package harness

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"kakehashi/client"
	"kakehashi/conformance/script"
)

// open is what conversations are about: use, without conditions.
var open = json.RawMessage(`{"permission":[{"action":"use"}]}`)

// underAgreements is the dataset of all agreements that we provide under.
const underAgreements = "urn:example:under-agreements"

// seed gives the node the counterpart's address, each dataset that we provide in
// a conversation and is not to be unknown, and each agreement.
func seed(ctx context.Context, c Config, api *client.Client, folder string) error {
	if _, err := api.FixPartner(ctx, client.FixPartner{ID: c.Counterparty, Base: c.CounterBase, Title: "The kit"}); err != nil {
		return err
	}
	file := filepath.Join(folder, "table.csv")
	if err := os.WriteFile(file, []byte("week,cases\n2026-W01,12\n"), 0o600); err != nil {
		return err
	}
	publish := func(id, offer string) error {
		_, err := api.PublishFile(ctx, client.PublishFile{Path: file, Title: "Table of " + id, ID: id, Offer: offer, Asking: "each-step", Policy: open})
		if err != nil {
			return fmt.Errorf("publish %s: %w", id, err)
		}
		return nil
	}
	if err := publish(underAgreements, ""); err != nil {
		return err
	}
	var in client.Import
	for _, v := range c.Conversations {
		switch {
		case v.Transfer():
			role := "consumer"
			if v.Provider {
				role = "provider"
			}
			in.Agreements = append(in.Agreements, client.ImportAgreement{ID: v.Agreement, Role: role, Counterparty: c.Counterparty,
				Dataset: underAgreements, Policy: open, Signed: time.Now().Add(-time.Hour)})
		case v.Provider && v.Dataset != "" && !unknown(v):
			if err := publish(v.Dataset, v.Offer); err != nil {
				return err
			}
		}
	}
	if len(in.Agreements) == 0 {
		return nil
	}
	_, err := api.Import(ctx, in)
	return err
}

// unknown says that a conversation asks for a dataset that must not be there.
func unknown(v script.Conversation) bool {
	for _, m := range v.Moves {
		if m.Answer == script.Unknown && strings.HasPrefix(m.Message, "dataset") {
			return true
		}
	}
	return false
}
