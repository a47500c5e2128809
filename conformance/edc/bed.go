package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"kakehashi/client"
	"kakehashi/conformance/serving"
)

// bed is where the cases of one EDC take place: the node, the EDC, and what
// stands around them.
type bed struct {
	node   *serving.Node
	who    client.Node
	edc    *connector
	around *listener
}

func (b *bed) api() *client.Client { return b.node.API }

// us is our node as EDC addresses it.
func (b *bed) us() partner { return partner{id: b.who.DID, base: strings.TrimSuffix(b.who.Base, "/")} }

// free are terms without conditions.
var free = object{"permission": []any{object{"action": "use"}}}

// name makes an id of this bed; the node is shared with others.
func (b *bed) name(what string) string {
	return strings.NewReplacer(" ", "-", ",", "", ":", "").Replace(what) + "-" + b.edc.id
}

// publish offers a file of ours and gives the dataset's id; the offer's id is
// dataset/offer.
func (b *bed) publish(ctx context.Context, what, asking string, rules object) (string, error) {
	dataset := "urn:example:" + b.name(what)
	file := filepath.Join(b.node.Files, b.name(what)+".csv")
	if err := os.WriteFile(file, content(dataset), 0o600); err != nil {
		return "", err
	}
	_, err := b.api().PublishFile(ctx, client.PublishFile{Path: file, Title: what, ID: dataset, Offer: dataset + "/offer", Asking: asking, Policy: rules})
	return dataset, err
}

// provide offers an asset of EDC and gives its id. A gated one is silent when it
// is read first.
func (b *bed) provide(ctx context.Context, what string, gated bool, rules object) (string, error) {
	asset := b.name(what)
	path := "/source/"
	if gated {
		path = "/gated/"
	}
	return asset, b.edc.provide(ctx, asset, b.around.base+path+asset, rules)
}

// agreed is a negotiation that both sides finished.
type agreed struct {
	ours, theirs string // their ids
	agreement    string // its id in the protocol
	edcs         string // EDC's own id of it
}

// ask has EDC ask for our dataset's offer, as its catalogue shows it, until it is
// in state.
func (b *bed) ask(ctx context.Context, dataset, state string) (process, error) {
	offers, err := b.edc.catalog(ctx, b.us(), dataset)
	if err != nil {
		return process{}, err
	}
	id, err := b.edc.negotiate(ctx, b.us(), offers[0].policy)
	if err != nil {
		return process{}, err
	}
	return b.edc.await(ctx, negotiations, id, state)
}

// byEDC has EDC come to an agreement with us about a dataset of ours.
func (b *bed) byEDC(ctx context.Context, dataset string) (agreed, error) {
	p, err := b.ask(ctx, dataset, "FINALIZED")
	if err != nil {
		return agreed{}, err
	}
	n, err := b.api().AwaitNegotiation(ctx, p.Peer, "FINALIZED")
	if err != nil {
		return agreed{}, fmt.Errorf("our negotiation %s: %w", p.Peer, err)
	}
	return b.both(ctx, agreed{ours: n.ID, theirs: p.ID, agreement: n.Agreement}, p)
}

// byUs has us come to an agreement with EDC about an asset of EDC's.
func (b *bed) byUs(ctx context.Context, asset string) (agreed, error) {
	n, err := b.api().Negotiate(ctx, client.StartNegotiation{Partner: b.edc.id, Dataset: asset})
	if err != nil {
		return agreed{}, fmt.Errorf("start our negotiation: %w", err)
	}
	if n, err = b.api().AwaitNegotiation(ctx, n.ID, "FINALIZED"); err != nil {
		return agreed{}, fmt.Errorf("our negotiation %s: %w", n.ID, err)
	}
	p, err := b.edc.byPeer(ctx, negotiations, n.ID)
	if err != nil {
		return agreed{}, err
	}
	if p, err = b.edc.await(ctx, negotiations, p.ID, "FINALIZED"); err != nil {
		return agreed{}, err
	}
	return b.both(ctx, agreed{ours: n.ID, theirs: p.ID, agreement: n.Agreement}, p)
}

// both says whether the two mean the same agreement. EDC gives it an id of its
// own beside the one that the protocol knows.
func (b *bed) both(ctx context.Context, a agreed, p process) (agreed, error) {
	var kept struct {
		ID string `json:"agreementId"`
	}
	if err := b.edc.call(ctx, http.MethodGet, negotiations+"/"+p.ID+"/agreement", nil, &kept); err != nil {
		return a, err
	}
	if a.agreement == "" || kept.ID != a.agreement {
		return a, fmt.Errorf("the agreement is %q for us and %q for EDC", a.agreement, kept.ID)
	}
	a.edcs = p.Agreement
	return a, nil
}

// fetch reads address as a plain client of EDC's would.
func fetch(ctx context.Context, address, authorization string) (int, []byte, error) {
	if address == "" || authorization == "" {
		return 0, nil, fmt.Errorf("EDC holds the address %q and an authorization of %d characters", address, len(authorization))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", authorization)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	var body bytes.Buffer
	_, err = body.ReadFrom(resp.Body)
	return resp.StatusCode, body.Bytes(), err
}

// gets reads the nth start of EDC's pull and compares what comes with the dataset.
func (b *bed) gets(ctx context.Context, transfer, dataset string, nth int) error {
	address, authorization, err := b.around.access(ctx, transfer, nth)
	if err != nil {
		return err
	}
	status, body, err := fetch(ctx, address, authorization)
	if err != nil {
		return err
	}
	if status != http.StatusOK || !bytes.Equal(body, content(dataset)) {
		return fmt.Errorf("the data comes with %d and %d bytes: %.200s", status, len(body), body)
	}
	return nil
}

// pull has EDC start a pull of our dataset; it is STARTED on both sides.
func (b *bed) pull(ctx context.Context, a agreed) (process, error) {
	id, err := b.edc.transfer(ctx, b.us(), a.edcs, "HttpData-PULL", b.around.base+"/events", "")
	if err != nil {
		return process{}, err
	}
	p, err := b.edc.await(ctx, transfers, id, "STARTED")
	if err != nil {
		return p, err
	}
	_, err = b.api().AwaitTransfer(ctx, p.Peer, "STARTED")
	return p, err
}

// offered says whether formats hold all that are wanted.
func offered(formats []string, want ...string) error {
	for _, w := range want {
		if !slices.Contains(formats, w) {
			return fmt.Errorf("it is offered as %v, not as %s", formats, w)
		}
	}
	return nil
}
