package bundle

import "io"

// Input is one bundle file.
type Input struct {
	R    io.ReaderAt
	Size int64
}

// Sided is a message that only one of the two sides has on record.
type Sided struct {
	Tenant    string `json:"tenant"` // who recorded it
	Direction string `json:"direction"`
	Position  int64  `json:"position"`
	Type      string `json:"type"`
	Message   string `json:"message"` // digest
	Signed    bool   `json:"signed"`  // received, and its sender's signature holds nevertheless
}

// Pair is the outcome of VerifyPair.
type Pair struct {
	Verdict  Verdict   `json:"verdict"`
	A        Report    `json:"a"`
	B        Report    `json:"b"`
	Agreed   int       `json:"messages_on_both_sides"`
	OneSided []Sided   `json:"messages_on_one_side"`
	Problems []Finding `json:"problems"`
}

// VerifyPair checks the bundles of the two sides of one exchange and compares
// them: each message that one has sent to the other must have been received
// there with the same bytes. What only one side recorded makes the pair Incomplete.
func VerifyPair(a, b Input, t Trust) (Pair, error) {
	p := Pair{OneSided: []Sided{}, Problems: []Finding{}}
	var err error
	if p.A, err = Verify(a.R, a.Size, t); err != nil {
		return p, err
	}
	if p.B, err = Verify(b.R, b.Size, t); err != nil {
		return p, err
	}
	p.Verdict = worse(p.A.Verdict, p.B.Verdict)
	if p.Verdict == Invalid {
		return p, nil
	}
	if p.A.Tenant == p.B.Tenant {
		p.Problems = append(p.Problems, Finding{"pair-same-side", "", p.A.Tenant})
	}
	if p.A.Agreement != p.B.Agreement {
		p.Problems = append(p.Problems, Finding{"pair-agreement", "", p.A.Agreement + " / " + p.B.Agreement})
	}
	if len(p.Problems) > 0 {
		p.Verdict = Invalid
		return p, nil
	}
	p.compare(&p.A, &p.B)
	p.compare(&p.B, &p.A)
	if len(p.OneSided) > 0 {
		p.Verdict = worse(p.Verdict, Incomplete)
	}
	return p, nil
}

// compare looks from one side: what it sent must have arrived, and what it
// received must have been sent. Agreed messages are counted from the sender.
func (p *Pair) compare(from, to *Report) {
	in, out := to.messages("in", from.Tenant), to.messages("out", from.Tenant)
	seen := map[string]bool{}
	for _, e := range from.Events {
		if e.Message == "" || e.Counterparty != to.Tenant || seen[e.Direction+e.Message] {
			continue
		}
		seen[e.Direction+e.Message] = true
		switch {
		case e.Direction == "out" && in[e.Message]:
			p.Agreed++
		case e.Direction == "out" || e.Direction == "in" && !out[e.Message]:
			p.OneSided = append(p.OneSided, Sided{from.Tenant, e.Direction, e.Position, e.Type, e.Message, e.Sender == SenderSigned})
		}
	}
}

func (r *Report) messages(direction, counterparty string) map[string]bool {
	m := map[string]bool{}
	for _, e := range r.Events {
		if e.Direction == direction && e.Message != "" && e.Counterparty == counterparty {
			m[e.Message] = true
		}
	}
	return m
}
