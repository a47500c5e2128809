package negotiation

import (
	"errors"
	"strings"
	"testing"

	"kakehashi/process"
)

func TestTheNewestAgreementStandsUntilItIsFinal(t *testing.T) {
	t.Parallel()
	first := process.Seen{Kind: KindAgreement, ID: "m", Digest: "first", To: Agreed}
	flying := &process.Pending{Kind: KindVerification, Job: "j", To: Verified}
	for _, c := range []struct {
		name    string
		role    Role
		from    State
		seen    []process.Seen
		pending *process.Pending
		e       Event
		want    State
		effects string
	}{
		{"under the same @id", Consumer, Agreed, []process.Seen{first}, flying, Event{ID: "m", Digest: "second"}, Agreed, "drop"},
		{"under another @id", Consumer, Agreed, []process.Seen{first}, flying, Event{ID: "n", Digest: "second"}, Agreed, "drop"},
		{"while we are asked", Consumer, Agreed, []process.Seen{first}, nil, Event{ID: "n", Digest: "second"}, Agreed, ""},
		{"after the answer to our verification", Consumer, Verified, []process.Seen{first}, nil, Event{ID: "n", Digest: "second"}, Agreed, ""},
		{"the same bytes are a repeat", Consumer, Verified, []process.Seen{first}, nil, Event{ID: "m", Digest: "first"}, Verified, "repeat"},
		{"the first one in its place", Consumer, Requested, nil, nil, Event{ID: "m", Digest: "first"}, Agreed, ""},
		{"after the end", Consumer, Finalized, []process.Seen{first}, nil, Event{ID: "n", Digest: "second"}, "", ""},
		{"after a termination", Consumer, Terminated, []process.Seen{first}, nil, Event{ID: "n", Digest: "second"}, "", ""},
		{"to the provider", Provider, Agreed, []process.Seen{first}, nil, Event{ID: "n", Digest: "second"}, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := Process{Head: process.Head{Role: c.role, State: c.from, PeerPid: "peer"}, Body: Body{Talk: process.Talk{Seen: c.seen, Pending: c.pending}}}
			c.e.What, c.e.Kind, c.e.PeerPid = process.Received, KindAgreement, "peer"
			q, fx, err := Step(p, c.e)
			if c.want == "" {
				if !errors.Is(err, process.ErrIllegal) {
					t.Fatalf("taken: %s, %v", q.State, err)
				}
				return
			}
			var did []string
			for _, f := range fx {
				did = append(did, string(f.Do))
			}
			if got := strings.Join(did, " "); err != nil || q.State != c.want || q.Pending != nil && c.effects != "repeat" || got != c.effects {
				t.Errorf("%s with %+v in flight, %q, %v", q.State, q.Pending, got, err)
			}
		})
	}
}

// EDC sends its verification or its FINALIZED twice, under two ids.
func TestWhatHasNoContentIsARepeatUnderAnyID(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		role   Role
		state  State
		kind   Kind
		seen   Kind
		repeat bool
	}{
		{Provider, Verified, KindVerification, KindVerification, true}, {Provider, Finalized, KindVerification, KindVerification, true},
		{Consumer, Finalized, KindFinalized, KindFinalized, true},
		{Provider, Terminated, KindVerification, KindVerification, false}, {Provider, Offered, KindVerification, KindRequest, false},
		{Consumer, Verified, KindVerification, KindAgreement, false}, {Consumer, Terminated, KindFinalized, KindAgreement, false},
		{Provider, Requested, KindRequest, KindRequest, false},
	} {
		p := Process{Head: process.Head{Role: c.role, State: c.state, PeerPid: "peer"}, Body: Body{Talk: process.Talk{Seen: []process.Seen{{Kind: c.seen, ID: "m", To: c.state}}}}}
		_, fx, err := Step(p, Event{What: process.Received, Kind: c.kind, ID: "n", Digest: "d", PeerPid: "peer"})
		repeat := err == nil && len(fx) == 1 && fx[0].Do == process.Repeat
		if repeat != c.repeat || !repeat && !errors.Is(err, process.ErrIllegal) {
			t.Errorf("%s in %s, %s: repeat %t, %v", c.role, c.state, c.kind, repeat, err)
		}
	}
}

// A provider that could not take our verification yet writes its agreement again,
// as EDC does, with the @id of its first message. We verify what it holds now.
func TestAnAgreementThatIsWrittenAgainIsVerifiedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const second = "urn:uuid:second"
	again := make(chan error, 1)
	w.hook = func(c call) verdict {
		if c.kind != KindVerification {
			return verdict{}
		}
		if c.n > 1 {
			return verdict{status: 200}
		}
		var agreement call
		w.mu.Lock()
		for _, s := range w.sent {
			if s.kind == KindAgreement {
				agreement = s
			}
		}
		w.mu.Unlock()
		pid := strings.TrimSuffix(agreement.url, "/agreement")
		q, err := w.brussels.room.Get(t.Context(), "brussels", pid[strings.LastIndex(pid, "/")+1:])
		if err != nil {
			again <- err
			return verdict{status: 409}
		}
		body := strings.Replace(string(agreement.body), q.Agreement, second, 1)
		agreement.body = []byte(body)
		if status, answer := w.deliver(t.Context(), agreement); status != 200 {
			err = errors.New(string(answer))
		}
		again <- err
		return verdict{status: 409}
	}
	q := w.start()
	if err := <-again; err != nil {
		t.Fatal(err)
	}
	if q = w.brussels.await(q.ID, Verified); q.Agreement != second {
		t.Errorf("we verified %s", q.Agreement)
	}
}
