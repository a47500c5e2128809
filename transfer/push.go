package transfer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"kakehashi/dataplane"
	"kakehashi/dsp/dsp2025"
	"kakehashi/internal/fault"
	"kakehashi/internal/format"
	"kakehashi/internal/ids"
	"kakehashi/internal/strictjson"
	"kakehashi/outbox"
	"kakehashi/participant"
	"kakehashi/process"
	"kakehashi/store"
)

const (
	// JobPush is the kind of the jobs that send the bytes of a push.
	JobPush = "plane.push"
	// JobFinish is the kind of the jobs that complete, as consumer, a push that
	// the provider does not.
	JobFinish = "transfer.finish"
)

// pushing stands in the outbox for the counterparty of every push, so that all
// pushes together leave room for messages.
const pushing = "pushes"

func isPush(format string) bool { return strings.HasSuffix(format, "-PUSH") }

// target reads where a push goes, in the order of dsp.md 7.3 and with EDC's names.
// Which hosts may be called is for the guarded client.
func target(d dsp2025.DataAddress) (dataplane.Target, error) {
	t := dataplane.Target{URL: d.URL(), Method: http.MethodPost, Header: http.Header{}}
	refuse := func(why string) (dataplane.Target, error) {
		return t, fault.AddressUnusable.At("/dataAddress", "reason", why)
	}
	u, err := url.Parse(t.URL)
	switch {
	case err != nil || t.URL == "":
		return refuse("it names no URL")
	case u.Scheme != "https" && u.Scheme != "http" || u.Host == "":
		return refuse("its URL is no absolute http or https URL")
	case u.User != nil || u.Fragment != "":
		return refuse("its URL has a user or a fragment")
	}
	if path := d.Property("path"); path != "" {
		t.URL = u.JoinPath(path).String()
	}
	if m := strings.ToUpper(d.Property("method")); m != "" {
		if t.Method = m; m != http.MethodPost && m != http.MethodPut {
			return refuse("the method " + process.Clip(m) + " sends no body")
		}
	}
	for name, value := range headers(d) {
		if !headerOK(name, value) || hopByHop[http.CanonicalHeaderKey(name)] {
			return refuse("it asks for a header that cannot be sent")
		}
		t.Header.Set(name, value)
	}
	return t, nil
}

// headers are those that an address asks for.
func headers(d dsp2025.DataAddress) map[string]string {
	h := map[string]string{}
	for _, p := range d.EndpointProperties {
		if _, name, ok := strings.Cut(p.Name, "header:"); ok && name != "" {
			h[name] = p.Value
		}
	}
	if typ := d.Property("contentType"); typ != "" {
		h["Content-Type"] = typ
	}
	if name, value := d.Authorization(); name != "" {
		h[name] = value
	}
	return h
}

// headerOK says whether net/http would send such a header (RFC 9110 section 5).
func headerOK(name, value string) bool {
	for _, r := range name {
		if r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r) {
			return false
		}
	}
	for _, b := range []byte(value) {
		if b < ' ' && b != '\t' || b == 0x7f {
			return false
		}
	}
	return name != ""
}

// hopByHop are headers that speak of the connection, which is ours.
var hopByHop = map[string]bool{"Host": true, "Content-Length": true, "Transfer-Encoding": true, "Connection": true, "Upgrade": true,
	"Trailer": true, "Te": true, "Expect": true, "Proxy-Connection": true, "Keep-Alive": true}

// openPush opens the grant of a push: as consumer the one to which the provider
// sends, as provider the one from which we send.
func (r *Room) openPush(tx store.Tx, c *change, q *Process) (*dataplane.Access, error) {
	g := dataplane.Grant{Participant: q.Participant, Transfer: q.ID, Counterparty: q.Counterparty, Agreement: q.Agreement,
		Dataset: q.Dataset, Format: q.As, Way: dataplane.WayReceive}
	if q.Role == Provider {
		g.Way, g.Service, g.Source = dataplane.WayPush, c.source.Service, c.source.Source
		switch q.Tap {
		case TapOpen:
			return nil, nil
		case TapPaused:
			q.Tap = TapOpen
			return nil, r.c.Plane.Reopen(tx, q.Participant, q.Grant)
		}
	}
	a, err := r.c.Plane.Open(tx, g)
	q.Grant, q.Tap = a.Grant, TapOpen
	if q.Role == Provider {
		return nil, err
	}
	return &a, err
}

// receiving turns the tap of a push that we receive after the state: bytes may
// come from the request on, not while we suspend it, and never after the end. A
// provider that suspended it by itself says with its bytes that it goes on: EDC
// sends them before the start that says so, and ends a transfer whose bytes are
// refused.
func (r *Room) receiving(q *Process, why string) func(store.Tx) error {
	p, grant := q.Participant, q.Grant
	pauses := q.State == Suspended && q.Halted != Provider && (q.Pending == nil || q.Pending.Kind != KindStart) ||
		q.Pending != nil && q.Pending.Kind == KindSuspension
	switch {
	case q.State.Final() && q.Tap != TapClosed:
		q.Tap = TapClosed
		return func(tx store.Tx) error { return r.c.Plane.Stop(tx, p, grant, why) }
	case q.State.Final():
	case pauses && q.Tap == TapOpen:
		q.Tap = TapPaused
		return func(tx store.Tx) error { return r.c.Plane.Suspend(tx, p, grant, why) }
	case !pauses && q.Tap == TapPaused:
		q.Tap = TapOpen
		return func(tx store.Tx) error { return r.c.Plane.Reopen(tx, p, grant) }
	}
	return func(store.Tx) error { return nil }
}

// pushJob is the data of JobPush and JobFinish; address and token are in a kept
// message only (decisions 18).
type pushJob struct {
	Format  int64  `json:"v,omitzero"`
	Process string `json:"process"`
}

func (c *change) put(kind, lane, peer string) error {
	data, err := strictjson.Encode(pushJob{Format: format.Mark(), Process: c.p.ID})
	c.jobs = append(c.jobs, outbox.Job{Participant: c.p.Participant, Lane: lane, ID: ids.Short(), Kind: kind, Peer: peer, Data: data})
	return err
}

// pushes puts the job that sends the bytes once our start was taken, or our
// completion when they were all sent before.
func (r *Room) pushes(c *change) error {
	q := c.p
	if q.Role != Provider || !isPush(q.As) || q.State != Started || q.Pending != nil {
		return nil
	}
	if q.Facts != nil {
		return r.step(c, q, Event{What: process.Decided, Kind: KindCompletion})
	}
	return c.put(JobPush, q.Grant, pushing)
}

// push is the handler of JobPush: one attempt at all the bytes. A grant that was
// paused or closed meanwhile leaves nothing to do: the next start puts a new job.
func (r *Room) push(ctx context.Context, j outbox.Job) (func(store.Tx) error, error) {
	q, err := r.ofJob(ctx, j)
	if err != nil || q.State != Started || q.Facts != nil {
		return nil, err
	}
	body, err := r.c.Evidence.Body(ctx, q.Participant, q.Access)
	if err != nil {
		return nil, fmt.Errorf("read the address of push %s: %w", q.ID, err)
	}
	t, err := addressed(body)
	if err != nil {
		return nil, outbox.Permanent(err)
	}
	m, err := r.c.Plane.Push(ctx, q.Participant, q.Grant, t)
	switch f := fault.Of(err); {
	case err == nil:
		return func(tx store.Tx) error {
			return r.pushed(tx, q.Participant, q.ID, Facts{Bytes: m.Bytes, Digest: m.Digest})
		}, nil
	case errors.Is(err, fault.GrantSuspended), errors.Is(err, fault.GrantClosed), errors.Is(err, fault.TermsDeny), errors.Is(err, fault.AgreementEnded), fault.OfCredential(err):
		return nil, nil
	case errors.Is(err, fault.AddressRefused), f.Kind == fault.FormatUnknown,
		f.Kind == fault.PushRefused && hopeless(f.Args["status"], j.Attempts), f.Kind == fault.PushUnserved && f.Args["status"] < "500":
		return nil, outbox.Permanent(err)
	}
	return nil, err
}

// maxRefused is how often a receiver may refuse what a moment could change.
const maxRefused = 7

// hopeless says that a receiver's answer is believed: at once for what is wrong
// with the request, after some attempts for what a moment may change.
func hopeless(status string, attempts int) bool {
	switch status {
	case "401", "403", "404", "408", "409", "425", "429":
		return attempts >= maxRefused
	}
	return status < "500"
}

func (r *Room) ofJob(ctx context.Context, j outbox.Job) (Process, error) {
	var d pushJob
	if err := format.Look("job", j.ID, j.Data); err != nil {
		return Process{}, err
	}
	if err := strictjson.Decode(j.Data, &d); err != nil {
		return Process{}, outbox.Permanent(fmt.Errorf("read job %s: %w", j.ID, err))
	}
	return r.Get(ctx, j.Participant, d.Process)
}

// addressed reads the address in a kept message: the request's, or that of a
// start by which the consumer resumed.
func addressed(body []byte) (dataplane.Target, error) {
	var d *dsp2025.DataAddress
	m, err := dsp2025.Decode[dsp2025.TransferRequest](body)
	if d = m.DataAddress; err != nil {
		var start dsp2025.TransferStart
		if start, err = dsp2025.Decode[dsp2025.TransferStart](body); err != nil {
			return dataplane.Target{}, fmt.Errorf("read a kept data address: %w", err)
		}
		d = start.DataAddress
	}
	if d == nil {
		d = &dsp2025.DataAddress{}
	}
	return target(*d)
}

// pushed is what follows when all bytes were sent: our completion, with their
// number and digest, at once or with the next start.
func (r *Room) pushed(tx store.Tx, p participant.ID, id string, f Facts) error {
	q, err := r.book.Load(tx, p, id)
	if err != nil || q.State.Final() {
		return err
	}
	q.Facts = &f
	c := r.change(q)
	c.p.Version++
	if q.State == Started && q.Pending == nil {
		if err := r.step(c, q, Event{What: process.Decided, Kind: KindCompletion}); err != nil {
			return err
		}
	}
	c.record(c.p, "", map[string]string{}, map[string]string{})
	return r.write(tx, c)
}

// unpushed ends a transfer whose bytes cannot be sent.
func (r *Room) unpushed(j outbox.Job, why error) func(store.Tx) error {
	var d pushJob
	if strictjson.Decode(j.Data, &d) != nil {
		return nil
	}
	return func(tx store.Tx) error {
		q, err := r.book.Load(tx, j.Participant, d.Process)
		if err != nil {
			return err
		}
		c := r.change(q)
		err = r.step(c, q, Event{What: process.Decided, Kind: KindTermination, Code: fault.Of(why).Kind.Code, Reason: process.Clip(fault.Of(why).What("en"))})
		if errors.Is(err, process.ErrIllegal) {
			return nil // it ended otherwise
		}
		if err != nil {
			return err
		}
		c.record(c.p, "", map[string]string{}, map[string]string{})
		return r.write(tx, c)
	}
}

// Received notes a pushed body that arrived whole, in the unit that puts it on
// record. The provider completes the transfer; if it does not, we do.
func (r *Room) Received(tx store.Tx, g dataplane.Grant, m dataplane.Moved) error {
	q, err := r.book.Load(tx, g.Participant, g.Transfer)
	if err != nil {
		return fmt.Errorf("find the transfer of a received body: %w", err)
	}
	c := r.change(q)
	c.p.Version++
	c.p.Facts, c.p.File = &Facts{Bytes: m.Bytes, Digest: m.Digest}, m.File
	if err := c.finishes(c.p); err != nil {
		return err
	}
	return r.write(tx, c)
}

// finishes puts the job that completes a push whose body is here, unless the
// provider did by then.
func (c *change) finishes(q Process) error {
	if q.Role != Consumer || !isPush(q.As) || q.State != Started || q.Facts == nil || q.Pending != nil {
		return nil
	}
	if err := c.put(JobFinish, "finish:"+q.ID, ""); err != nil {
		return err
	}
	c.jobs[len(c.jobs)-1].Due = c.now.Add(c.finish)
	return nil
}

// finish is the handler of JobFinish.
func (r *Room) finish(ctx context.Context, j outbox.Job) (func(store.Tx) error, error) {
	q, err := r.ofJob(ctx, j)
	if err != nil {
		return nil, err
	}
	return func(tx store.Tx) error {
		q, err := r.book.Load(tx, q.Participant, q.ID)
		if err != nil || q.State != Started || q.Pending != nil || q.Facts == nil {
			return err // completed, or a start to come puts another job
		}
		c := r.change(q)
		if err := r.step(c, q, Event{What: process.Decided, Kind: KindCompletion}); err != nil {
			return err
		}
		c.record(c.p, "", map[string]string{}, map[string]string{})
		return r.write(tx, c)
	}, nil
}
