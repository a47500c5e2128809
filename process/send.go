package process

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"kakehashi/dsp/dsp2025"
	"kakehashi/internal/fault"
	"kakehashi/internal/format"
	"kakehashi/internal/recent"
	"kakehashi/internal/strictjson"
	"kakehashi/outbox"
	"kakehashi/participant"
	"kakehashi/store"
)

// firstPause is how long a first message whose answer was not seen waits for the
// counterpart's own next message before it is repeated: some counterparts make two
// processes of one repeated request.
const firstPause = 5 * time.Second

// Refusals that are believed after so many failed attempts. A counterpart
// commits its own state after it has read our answer, so an instant follow-up may
// meet 400, 404 or 409 and be taken a moment later.
const (
	Believed = 3 // of a 400, and of a state that may be older than our message
	maxOther = 7
)

// refusing is how long a counterpart may say that it does not know us, or that we
// are too many, before that is believed.
const refusing = 5 * time.Minute

// moment is how long after its unit a follow-up that was refused first and taken
// then counts as sent too early.
const moment = 3 * time.Second

// maxBodies bounds the messages kept in memory between their unit and their sending.
const maxBodies = 512

// Wire speaks to counterparts. dsphttp.Client is the one over HTTPS.
type Wire interface {
	// Send posts body, a message of type message, authorized afresh as p. err is
	// for an attempt without an answer; any status is no error.
	Send(ctx context.Context, p participant.ID, counterparty, url, message string, body []byte) (status int, reply []byte, err error)
	// State reads the state of the counterpart's process at url.
	State(ctx context.Context, p participant.ID, counterparty, url string) (state string, status int, err error)
}

// Bodies gives the kept bytes of a message.
type Bodies interface {
	Body(ctx context.Context, p participant.ID, digest string) ([]byte, error)
}

// Sender makes the attempts at our messages, the same bytes each time.
type Sender struct {
	wire     Wire
	kept     Bodies
	patience Patience
	now      func() time.Time
	memory   *recent.Of[string, []byte]
}

// NewSender makes a sender; patience may be nil.
func NewSender(w Wire, kept Bodies, patience Patience, now func() time.Time) *Sender {
	return &Sender{wire: w, kept: kept, patience: patience, now: now, memory: recent.New[string, []byte](maxBodies)}
}

// Hold keeps a message in memory until it is sent.
func (s *Sender) Hold(digest string, body []byte) { s.memory.Put(digest, body) }

// Job is the data of a job that sends a message.
type Job struct {
	Format  int64  `json:"v,omitzero"`
	Process string `json:"process"`
	Kind    Kind   `json:"kind"`
	Digest  string `json:"digest"`         // of the message, which evidence keeps
	Stray   string `json:"stray,omitzero"` // a pid of the counterpart that is not the bound one: only end it
}

// ReadJob reads what Put wrote; its error is permanent, except for what a newer
// program put.
func ReadJob(j outbox.Job) (Job, error) {
	var d Job
	if err := format.Look("job", j.ID, j.Data); err != nil {
		return d, err
	}
	if err := strictjson.Decode(j.Data, &d); err != nil {
		return d, outbox.Permanent(fmt.Errorf("read job %s: %w", j.ID, err))
	}
	return d, nil
}

// About tells which process a job of a room is for, and which message it sends.
func About(j outbox.Job) outbox.Subject {
	var d Job
	if strictjson.DecodeOpen(j.Data, &d) != nil {
		return outbox.Subject{Process: j.Lane}
	}
	return outbox.Subject{Process: d.Process, Message: d.Kind.Type()}
}

// Put is the outbox's job for d in the lane of its process.
func (h Head) Put(kind, id string, d Job) (outbox.Job, error) {
	d.Format = format.Mark()
	data, err := strictjson.Encode(d)
	return outbox.Job{Participant: h.Participant, Lane: h.ID, ID: id, Kind: kind, Peer: h.Counterparty, Data: data}, err
}

// Letter is a message that is to be sent now, with what its process knows.
type Letter struct {
	Head
	Job
	URL   string // where it goes
	State string // URL at which the counterpart's process is read
	Ends  bool   // it is a termination
	// Reached compares the counterpart's state with the one that the message leads
	// to: Acknowledged at or past it, Received and the kind of its message when it
	// went another way, "" when neither is known. late says that the message has
	// been refused for longer than anybody takes to commit.
	Reached func(peer State, late bool) (What, Kind)
	// Pids reads the answer to a first message.
	Pids func(answer []byte) (consumer, provider string, ok bool)
}

// Attempt is one attempt at a message: what it came to, or why there has to be
// another one. After an attempt whose answer was not seen, and after 400, 404 and
// 409, the counterpart's state is read: at or past ours counts as acknowledged.
func (s *Sender) Attempt(ctx context.Context, j outbox.Job, l Letter) (Event, error) {
	if j.Again {
		if e, ok := s.ask(ctx, j, l, false); ok {
			return e, nil
		}
	}
	body, ok := s.memory.Get(l.Digest)
	if !ok {
		var err error
		if body, err = s.kept.Body(ctx, j.Participant, l.Digest); err != nil {
			return Event{}, fmt.Errorf("read message %s: %w", l.Digest, err)
		}
	}
	status, answer, err := s.wire.Send(ctx, j.Participant, l.Counterparty, l.URL, l.Kind.Type(), body)
	switch {
	case err != nil && l.PeerPid == "":
		return Event{}, outbox.RetryAfter(outbox.Unreached(fmt.Errorf("send %s: %w", l.Kind, err)), firstPause)
	case err != nil:
		return Event{}, outbox.Unreached(fmt.Errorf("send %s: %w", l.Kind, err))
	case status >= 200 && status < 300:
		s.memory.Forget(l.Digest)
		s.learn(j, l)
		return l.acknowledged(j, answer), nil
	}
	return s.refused(ctx, j, l, status, answer)
}

// acknowledged reads the answer to our message; only that of a first one says
// something that we need. It may be empty, and then the counterpart's next message
// tells its pid.
func (l Letter) acknowledged(j outbox.Job, answer []byte) Event {
	e := Event{What: Acknowledged, Kind: l.Kind, Job: j.ID}
	if l.PeerPid != "" || len(answer) == 0 {
		return e
	}
	own, peer, ok := l.Pids(answer)
	if l.Role == Provider {
		own, peer = peer, own
	}
	if ok && (own == "" || own == l.ID) && peer != NoPid {
		e.PeerPid = peer
	}
	return e
}

// learn notes whether an instant follow-up was taken at the first try.
func (s *Sender) learn(j outbox.Job, l Letter) {
	if s.patience == nil || l.PeerPid == "" {
		return // a first message follows nothing
	}
	if tooEarly := j.Attempts > 0; !tooEarly || s.now().Sub(j.Created) < moment {
		s.patience.LearnPause(l.Participant, l.Counterparty, tooEarly)
	}
}

// refused decides what an answer other than 2xx means.
func (s *Sender) refused(ctx context.Context, j outbox.Job, l Letter, status int, answer []byte) (Event, error) {
	code, reasons := dsp2025.Refusal(answer)
	err := error(fault.PeerRefused.At(l.ID, "counterparty", l.Counterparty, "message", l.Kind.Type(),
		"reason", fmt.Sprintf("%d %s", status, Clip(strings.TrimSpace(code+" "+strings.Join(reasons, "; "))))))
	switch status {
	case 400, 404, 409:
		believed := status == 400 || status == 404 && l.Ends // to a process that ended, nothing is left to say
		late := j.Attempts >= Believed                       // nobody is that slow to commit
		last := l.Stray != "" || believed && j.Attempts >= Believed || j.Attempts >= maxOther
		if !j.Again || late || last { // else the state was read just now
			if e, ok := s.ask(ctx, j, l, late || last); ok {
				return e, nil
			}
		}
		if last {
			err = outbox.Permanent(err)
		}
	case 403:
		// A credential that does not count now counts no more in a moment.
		lacks := (strings.HasPrefix(code, "credential-") || strings.HasPrefix(code, "presentation-")) && !fault.Passing(code)
		if j.Attempts >= maxOther || lacks {
			err = outbox.Permanent(err)
		}
	case 401, 408, 425, 429:
		// Who cannot read our keys for a while refuses us: that may pass.
		if j.Attempts >= maxOther && s.now().Sub(j.Created) > refusing {
			err = outbox.Permanent(err)
		} else {
			err = outbox.Unreached(err)
		}
	default:
		if status < 500 {
			err = outbox.Permanent(err)
		} else {
			err = outbox.Unreached(err)
		}
	}
	return Event{}, err
}

// ask reads the counterpart's state and says whether that settles our message.
func (s *Sender) ask(ctx context.Context, j outbox.Job, l Letter, late bool) (Event, bool) {
	if l.PeerPid == "" || l.Stray != "" {
		return Event{}, false
	}
	state, status, err := s.wire.State(ctx, l.Participant, l.Counterparty, l.State)
	if err != nil || status != 200 {
		return Event{}, false
	}
	switch what, kind := l.Reached(State(state), late); what {
	case Acknowledged:
		return Event{What: Acknowledged, Kind: l.Kind, Job: j.ID}, true
	case Received:
		return Event{What: Received, Kind: kind, PeerPid: l.PeerPid, Reason: "read from the counterpart's state"}, true
	}
	return Event{}, false
}

// Lost is the event of a message that will never be taken.
func Lost(j outbox.Job, d Job, why error) Event {
	f := fault.Of(why)
	return Event{What: Failed, Kind: d.Kind, Job: j.ID, Code: f.Kind.Code, Reason: Clip(f.What("en"))}
}

// Settle brings the outcome of a message into a process, in the unit that removes
// its job: as memory has the process, or when that is behind, as the table has it.
// An outcome that was settled otherwise is no error.
func (b *Book[P]) Settle(tx store.Tx, p participant.ID, id string, apply func(P) error) error {
	behind := func(err error) bool {
		return errors.Is(err, ErrMoved) || errors.Is(err, ErrStale) || errors.Is(err, ErrIllegal)
	}
	if now, ok := b.Known(p, id); ok {
		if err := apply(now); !behind(err) {
			return err
		}
	}
	now, err := b.Load(tx, p, id)
	if err != nil {
		return err
	}
	if err = apply(now); errors.Is(err, ErrStale) || errors.Is(err, ErrIllegal) {
		return nil
	}
	return err
}
