package negotiation

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"kakehashi/dsp/dsp2025"
	"kakehashi/evidence"
	"kakehashi/internal/fault"
	"kakehashi/internal/ids"
	"kakehashi/internal/strictjson"
	"kakehashi/participant"
	"kakehashi/process"
)

// AgreementDigest is the member of our verification message that names the
// digest of the agreement: the token names the digest of the message, so the
// consumer's signature covers the agreement (decisions 16). Others pass it over.
const AgreementDigest = "https://kakehashi.dev/ns/agreementDigest"

// message writes our message of that kind from p and notes in p what it binds
// us to: the id and the bytes of an agreement, the time of a request.
func message(p *Process, who participant.Participant, kind Kind, id string, now time.Time) ([]byte, error) {
	consumer, provider := p.Pids()
	switch kind {
	case KindRequest, KindOffer:
		offer, err := dsp2025.Policy("Offer", p.Terms, [2]string{"@id", p.OfferID}, [2]string{"target", p.Dataset})
		if err != nil {
			return nil, err
		}
		callback := ""
		if p.PeerPid == "" {
			callback = who.Base
		}
		if kind == KindOffer {
			return dsp2025.Marshal(&dsp2025.ContractOffer{ID: id, ProviderPid: provider, ConsumerPid: consumer, Offer: offer, CallbackAddress: callback})
		}
		if p.Asked == 0 {
			p.Asked = now.UnixMicro()
		}
		return dsp2025.Marshal(&dsp2025.ContractRequest{ID: id, ConsumerPid: consumer, ProviderPid: provider, Offer: offer, CallbackAddress: callback})
	case KindAgreement:
		p.Agreement = ids.New()
		p.Signed = now.Truncate(time.Second).UnixMicro() // as the timestamp says
		body, err := dsp2025.Policy("Agreement", p.Terms, [2]string{"@id", p.Agreement}, [2]string{"target", p.Dataset},
			[2]string{"assigner", who.DID}, [2]string{"assignee", p.Counterparty},
			[2]string{"timestamp", now.UTC().Format(time.RFC3339)})
		if err != nil {
			return nil, err
		}
		p.AgreementBody = body
		return dsp2025.Marshal(&dsp2025.ContractAgreement{ID: id, ProviderPid: provider, ConsumerPid: consumer, Agreement: body})
	case KindVerification:
		return dsp2025.Marshal(&dsp2025.AgreementVerification{ID: id, ProviderPid: provider, ConsumerPid: consumer,
			AgreementDigest: evidence.Digest(p.AgreementBody)})
	case KindAccepted:
		return dsp2025.Marshal(&dsp2025.NegotiationEvent{ID: id, ProviderPid: provider, ConsumerPid: consumer, EventType: string(Accepted)})
	case KindFinalized:
		return dsp2025.Marshal(&dsp2025.NegotiationEvent{ID: id, ProviderPid: provider, ConsumerPid: consumer, EventType: string(Finalized)})
	case KindTermination:
		return termination(id, consumer, provider, p.Code, p.Reason)
	}
	return nil, fmt.Errorf("no message %q", kind)
}

func termination(id, consumer, provider, code, reason string) ([]byte, error) {
	m := &dsp2025.NegotiationTermination{ID: id, ProviderPid: provider, ConsumerPid: consumer, Code: code}
	if reason != "" {
		m.Reason = []any{reason}
	}
	return dsp2025.Marshal(m)
}

// address is where our message of that kind goes.
func address(p Process, kind Kind) string {
	base := strings.TrimRight(p.Peer, "/") + "/negotiations/"
	if p.PeerPid == "" {
		if kind == KindOffer {
			return base + "offers"
		}
		return base + "request"
	}
	base += url.PathEscape(p.PeerPid)
	switch kind {
	case KindRequest:
		return base + "/request"
	case KindOffer:
		return base + "/offers"
	case KindAgreement:
		return base + "/agreement"
	case KindVerification:
		return base + "/agreement/verification"
	case KindTermination:
		return base + "/termination"
	}
	return base + "/events"
}

// stateAddress is where the counterpart's process is read.
func stateAddress(p Process) string {
	return strings.TrimRight(p.Peer, "/") + "/negotiations/" + url.PathEscape(p.PeerPid)
}

// Message is one message that arrived, strictly decoded by the server.
type Message struct {
	Kind    Kind
	Pid     string // our pid from the path; "" for an initial request or offer
	Body    []byte // as it arrived
	Decoded any    // a pointer to the dsp2025 type of Kind; nil: Body is decoded here
}

// incoming is what the room reads in any message.
type incoming struct {
	id, consumer, provider string

	offer, agreement strictjson.Raw
	callback         string
	code, reason     string
	digest           string // AgreementDigest of a verification, "" without
}

// read takes the message apart; the kind of an event must be the one of its path.
func read(m Message) (incoming, error) {
	switch m.Kind {
	case KindRequest:
		d, err := decoded[dsp2025.ContractRequest](m)
		return incoming{id: d.ID, consumer: d.ConsumerPid, provider: d.ProviderPid, offer: d.Offer, callback: d.CallbackAddress}, err
	case KindOffer:
		d, err := decoded[dsp2025.ContractOffer](m)
		return incoming{id: d.ID, consumer: d.ConsumerPid, provider: d.ProviderPid, offer: d.Offer, callback: d.CallbackAddress}, err
	case KindAgreement:
		d, err := decoded[dsp2025.ContractAgreement](m)
		return incoming{id: d.ID, consumer: d.ConsumerPid, provider: d.ProviderPid, agreement: d.Agreement}, err
	case KindVerification:
		d, err := decoded[dsp2025.AgreementVerification](m)
		in := incoming{id: d.ID, consumer: d.ConsumerPid, provider: d.ProviderPid}
		if err != nil {
			return in, err
		}
		in.digest = d.AgreementDigest
		return in, nil
	case KindAccepted, KindFinalized:
		d, err := decoded[dsp2025.NegotiationEvent](m)
		return incoming{id: d.ID, consumer: d.ConsumerPid, provider: d.ProviderPid}, err
	case KindTermination:
		d, err := decoded[dsp2025.NegotiationTermination](m)
		return incoming{id: d.ID, consumer: d.ConsumerPid, provider: d.ProviderPid, code: d.Code, reason: process.Words(d.Reason)}, err
	}
	return incoming{}, fault.BadMessage.At("/@type", "reason", "not a message of the negotiation")
}

func decoded[T any](m Message) (T, error) {
	switch d := m.Decoded.(type) {
	case *T:
		return *d, nil
	case T:
		return d, nil
	}
	return dsp2025.Decode[T](m.Body)
}

func reply(p Process, status int) (process.Reply, error) {
	r := process.Reply{Status: status}
	r.ConsumerPid, r.ProviderPid = p.Pids()
	consumer, provider := r.ConsumerPid, r.ProviderPid
	if consumer == "" {
		consumer = process.NoPid
	}
	if provider == "" {
		provider = process.NoPid
	}
	state := p.State
	if state == None && p.Pending != nil {
		state = p.Pending.To // the counterpart asks: so it has our first message
	}
	var err error
	r.Body, err = dsp2025.Marshal(&dsp2025.ContractNegotiation{ConsumerPid: consumer, ProviderPid: provider, State: string(state)})
	return r, err
}
