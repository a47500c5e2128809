package transfer

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"kakehashi/dataplane"
	"kakehashi/dsp/dsp2025"
	"kakehashi/internal/fault"
	"kakehashi/participant"
	"kakehashi/process"
)

// Members of our completion message that say what arrived, or what we pushed. Others pass them
// over; of a consumer that does not send them the provider only knows what it
// handed out (decisions 25).
const (
	PayloadDigest = "https://kakehashi.dev/ns/digest" // sha256:... of the whole
	PayloadBytes  = "https://kakehashi.dev/ns/bytes"  // decimal
)

// message writes our message of that kind from p.
func message(p Process, who participant.Participant, kind Kind, id string, access *dataplane.Access) ([]byte, error) {
	consumer, provider := p.Pids()
	switch kind {
	case KindRequest:
		m := &dsp2025.TransferRequest{ID: id, ConsumerPid: consumer, AgreementID: p.Agreement, Format: p.As, CallbackAddress: who.Base}
		if access != nil {
			m.DataAddress = dsp2025.PushAddress(access.Address, access.Token)
		}
		return dsp2025.Marshal(m)
	case KindStart:
		m := &dsp2025.TransferStart{ID: id, ProviderPid: provider, ConsumerPid: consumer}
		if access != nil {
			m.DataAddress = dsp2025.PullAddress(access.Address, access.Token)
		}
		return dsp2025.Marshal(m)
	case KindSuspension:
		m := &dsp2025.TransferSuspension{ID: id, ProviderPid: provider, ConsumerPid: consumer, Code: p.Code, Reason: reasons(p.Reason)}
		return dsp2025.Marshal(m)
	case KindCompletion:
		m := &dsp2025.TransferCompletion{ID: id, ProviderPid: provider, ConsumerPid: consumer}
		if p.Facts != nil && (p.Role == Consumer || isPush(p.As)) {
			m.PayloadBytes, m.PayloadDigest = strconv.FormatInt(p.Facts.Bytes, 10), p.Facts.Digest
		}
		return dsp2025.Marshal(m)
	case KindTermination:
		return termination(id, consumer, provider, p.Code, p.Reason)
	}
	return nil, fmt.Errorf("no message %q", kind)
}

func termination(id, consumer, provider, code, reason string) ([]byte, error) {
	return dsp2025.Marshal(&dsp2025.TransferTermination{ID: id, ProviderPid: provider, ConsumerPid: consumer, Code: code, Reason: reasons(reason)})
}

func reasons(s string) []any {
	if s == "" {
		return nil
	}
	return []any{s}
}

// Access is where a consumer finds the data, and with what.
type Access struct {
	Endpoint string
	Token    string // "" when the provider gave none
	AuthType string // as the provider wrote it, mostly "bearer"
}

// Access reads where the data of a started transfer is, from the kept start
// message, the token's only copy. fault.NoAccess in any other state.
func (r *Room) Access(ctx context.Context, p participant.ID, id string) (Access, error) {
	q, err := r.Get(ctx, p, id)
	if err != nil {
		return Access{}, err
	}
	if q.Role != Consumer || q.State != Started || q.Access == "" {
		return Access{}, fault.NoAccess.At(id, "transfer", id, "state", q.State.Name())
	}
	body, err := r.c.Evidence.Body(ctx, p, q.Access)
	if err != nil {
		return Access{}, fmt.Errorf("read the start message of transfer %s: %w", id, err)
	}
	m, err := dsp2025.Decode[dsp2025.TransferStart](body)
	if err != nil {
		return Access{}, fmt.Errorf("read the start message of transfer %s: %w", id, err)
	}
	if m.DataAddress == nil {
		return Access{}, fault.NoAccess.At(id, "transfer", id, "state", q.State.Name())
	}
	return readAddress(*m.DataAddress), nil
}

// readAddress takes address and token in the order of dsp.md 7.3.
func readAddress(d dsp2025.DataAddress) Access {
	return Access{Endpoint: d.URL(), Token: d.Property("authorization"), AuthType: d.Property("authType")}
}

// stateAddress is where the counterpart's process is read.
func stateAddress(p Process) string {
	return strings.TrimRight(p.Peer, "/") + "/transfers/" + url.PathEscape(p.PeerPid)
}

// address is where our message of that kind goes.
func address(p Process, kind Kind) string {
	switch kind {
	case KindRequest:
		return strings.TrimRight(p.Peer, "/") + "/transfers/request"
	case KindStart:
		return stateAddress(p) + "/start"
	case KindSuspension:
		return stateAddress(p) + "/suspension"
	case KindCompletion:
		return stateAddress(p) + "/completion"
	}
	return stateAddress(p) + "/termination"
}

// Message is one message that arrived, strictly decoded by the server.
type Message struct {
	Kind    Kind
	Pid     string // our pid from the path; "" for a request
	Body    []byte // as it arrived
	Decoded any    // a pointer to the dsp2025 type of Kind; nil: Body is decoded here
}

// incoming is what the room reads in any message.
type incoming struct {
	id, consumer, provider string

	agreement, format, callback string
	address                     *dsp2025.DataAddress // nil for none
	code, reason                string
	facts                       *Facts
}

// read takes the message apart.
func read(m Message) (incoming, error) {
	switch m.Kind {
	case KindRequest:
		d, err := decoded[dsp2025.TransferRequest](m)
		return incoming{id: d.ID, consumer: d.ConsumerPid, agreement: d.AgreementID, format: d.Format,
			callback: d.CallbackAddress, address: d.DataAddress}, err
	case KindStart:
		d, err := decoded[dsp2025.TransferStart](m)
		return incoming{id: d.ID, consumer: d.ConsumerPid, provider: d.ProviderPid, address: d.DataAddress}, err
	case KindSuspension:
		d, err := decoded[dsp2025.TransferSuspension](m)
		return incoming{id: d.ID, consumer: d.ConsumerPid, provider: d.ProviderPid, code: d.Code, reason: process.Words(d.Reason)}, err
	case KindCompletion:
		d, err := decoded[dsp2025.TransferCompletion](m)
		if err != nil {
			return incoming{}, err
		}
		in := incoming{id: d.ID, consumer: d.ConsumerPid, provider: d.ProviderPid}
		in.facts, err = readFacts(d)
		return in, err
	case KindTermination:
		d, err := decoded[dsp2025.TransferTermination](m)
		return incoming{id: d.ID, consumer: d.ConsumerPid, provider: d.ProviderPid, code: d.Code, reason: process.Words(d.Reason)}, err
	}
	return incoming{}, fault.BadMessage.At("/@type", "reason", "not a message of the transfer process")
}

// readFacts takes what the sender says that it received or sent; nil if it says nothing.
func readFacts(m dsp2025.TransferCompletion) (*Facts, error) {
	if m.PayloadDigest == "" && m.PayloadBytes == "" {
		return nil, nil
	}
	f := &Facts{Digest: m.PayloadDigest}
	if m.PayloadBytes != "" {
		var err error
		if f.Bytes, err = strconv.ParseInt(m.PayloadBytes, 10, 64); err != nil || f.Bytes < 0 {
			return nil, fault.BadMessage.At("/"+PayloadBytes, "reason", "a count of bytes is expected")
		}
	}
	if f.Digest != "" && !isDigest(f.Digest) {
		return nil, fault.BadMessage.At("/"+PayloadDigest, "reason", "sha256: and 64 hexadecimal digits are expected")
	}
	return f, nil
}

func isDigest(s string) bool {
	hex, ok := strings.CutPrefix(s, "sha256:")
	return ok && len(hex) == 64 && strings.Trim(hex, "0123456789abcdef") == ""
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
		state = p.Pending.To // the counterpart asks: so it has our request
	}
	var err error
	r.Body, err = dsp2025.Marshal(&dsp2025.TransferProcess{ConsumerPid: consumer, ProviderPid: provider, State: string(state)})
	return r, err
}
