package conversation

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"kakehashi/client"
	"kakehashi/conformance/script"
)

// doubling makes a process of every first message, also of a repeated one, and
// answers 409 to every other repeat, for ever: EDC's habits (decisions A4).
var doubling = Kind{Name: "doubling", Stubborn: true}

// pair is two processes of the peer for one of the node.
func (b *bed) pair(t *testing.T, about string, first, second []Turn) (*Talk, *Talk, client.Negotiation) {
	t.Helper()
	c := script.Conversation{Dataset: about, Offer: about + ":offer", Rules: []script.Rule{{State: "AGREED", Step: "verify"}}}
	b.us.mu.Lock()
	b.us.rules[about] = c
	b.us.mu.Unlock()
	one, two := b.talk(c), b.talk(c)
	one.Turns, two.Turns = first, second
	two.Open("")
	one.Double = two
	one.Open(about)
	n, err := b.api.Negotiate(t.Context(), client.StartNegotiation{Partner: b.who.did, Dataset: about, Offer: c.Offer, Policy: free, Asking: "each-step"})
	if err != nil {
		t.Fatal(err)
	}
	return one, two, n
}

// said fails the test at the first error of a conversation.
func said(t *testing.T, what string, err error, talks ...*Talk) {
	t.Helper()
	for _, k := range talks {
		if f := k.Faults(); f != nil {
			t.Error(f)
		}
	}
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

var whole = []Turn{{Name: "request"}, {Out: true, Name: "agreement"}, {Name: "verification"}, {Out: true, Name: "finalized"}}

// finish brings the process that the node is bound to to its end.
func (k *Talk) finish(ctx context.Context, t *testing.T) {
	t.Helper()
	_, err := k.Wait(ctx, "verification")
	said(t, "verification", err, k)
	_, err = k.Send(ctx, Send{Name: "finalized"})
	said(t, "finalized", err, k)
	said(t, "state", k.State(ctx, "FINALIZED", false), k)
}

// The answer to our first message is lost: the first process of the partner that
// speaks is the one that we are bound to, and the other is ended.
func TestTheProcessThatSpeaksFirstCounts(t *testing.T) {
	t.Parallel()
	b := newBed(t, doubling)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	turns := append([]Turn{{Name: "request", Lost: true}}, whole[1:]...)
	one, two, _ := b.pair(t, "DOUBLE1", turns, []Turn{{Name: "termination"}})
	_, err := one.Wait(ctx, "request")
	said(t, "request", err, one)
	_, err = one.Send(ctx, Send{Name: "agreement"})
	said(t, "agreement", err, one)
	two.theirs = one.theirs
	_, err = two.Send(ctx, Send{Name: "agreement", Refused: true, Status: http.StatusBadRequest, Code: "other-process"})
	said(t, "agreement of another process", err, two)
	_, err = two.Wait(ctx, "termination")
	said(t, "termination", err, two)
	one.finish(ctx, t)
}

// The partner stays silent after a lost answer, so we ask again after 5 s and it
// makes a second process: we are bound to the one that answers.
func TestTheRepeatedRequestThatIsDoubled(t *testing.T) {
	t.Parallel()
	b := newBed(t, doubling)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	begun := time.Now()
	one, two, n := b.pair(t, "DOUBLE2", []Turn{{Name: "request", Lost: true}, {Name: "termination"}}, whole)
	_, err := one.Wait(ctx, "request")
	said(t, "request", err, one)
	_, err = two.Wait(ctx, "request")
	said(t, "request again", err, one, two)
	if d := time.Since(begun); d < 3*time.Second {
		t.Errorf("it was repeated after %s; the partner gets 5 s for its own next message", d)
	}
	if got, err := b.api.Negotiation(ctx, n.ID, patience, "REQUESTED"); err != nil || got.State != "REQUESTED" || got.PeerID != two.own {
		t.Fatalf("%+v, %v", got, err)
	}
	_, err = one.Send(ctx, Send{Name: "agreement", Refused: true, Status: http.StatusBadRequest, Code: "other-process"})
	said(t, "agreement of the first process", err, one)
	_, err = one.Wait(ctx, "termination")
	said(t, "termination", err, one)
	_, err = two.Send(ctx, Send{Name: "agreement"})
	said(t, "agreement", err, two)
	two.finish(ctx, t)
}

// A partner that answers 409 to every repeat and lost each of its answers does
// not hold us up: its state tells.
func TestAPartnerThatRefusesEachRepeat(t *testing.T) {
	t.Parallel()
	b := newBed(t, doubling)
	c, err := script.Parse("x", strings.Join([]string{"X:1 title", "", "provider", "dataset STUBBORN", "offer STUBBORN:offer",
		"when REQUESTED: agree", "when VERIFIED: finalize", "-> request", "<- agreement lost", "-> verification", "<- finalized lost", "state FINALIZED"}, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	b.prepare(t, []script.Conversation{c})
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience) // the waits between repeats are most of it
	defer cancel()
	b.play(ctx, t, c)
}

// What a node must not do is seen: the player is no witness that nods.
func TestThePlayerSeesWhatIsWrong(t *testing.T) {
	t.Parallel()
	b := newBed(t, AtOnce)
	lines := func(moves ...string) script.Conversation {
		c, err := script.Parse("x", strings.Join(append([]string{"X:1 title", "", "provider", "dataset WRONG", "offer WRONG:offer",
			"when REQUESTED: agree"}, moves...), "\n"))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	b.prepare(t, []script.Conversation{lines("-> request")})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	k := b.talk(lines("-> request", "<- offer"))
	k.Open("")
	if _, err := k.Send(ctx, Send{Name: "request"}); err != nil {
		t.Fatal(err)
	}
	unexpected := make(chan error, 1)
	go func() {
		short, stop := context.WithTimeout(ctx, time.Second)
		defer stop()
		_, err := k.Wait(short, "offer")
		unexpected <- err
	}()
	if err := <-unexpected; err == nil || !strings.Contains(err.Error(), "agreement came and was not expected") {
		t.Errorf("an agreement in place of an offer: %v", err)
	}
	k = b.talk(lines("-> request"))
	k.Open("")
	if _, err := k.Send(ctx, Send{Name: "request", Refused: true}); err == nil {
		t.Error("a request that is taken and must be refused")
	}
	if err := k.State(ctx, "FINALIZED", false); err == nil {
		t.Error("a state that is not the node's")
	}
}
