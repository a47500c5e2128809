package negotiation

import (
	"errors"
	"flag"
	"fmt"
	"kakehashi/process"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		t.Errorf("%s differs; run with -update and look at the difference.\ngot:\n%s", path, got)
	}
}

// Every state x message x role x direction, with nothing in flight: the golden
// file is the protocol as the program does it, for a reader to check.
func TestEveryStateAndMessage(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for _, role := range []Role{Provider, Consumer} {
		for _, from := range Table.States() {
			for _, kind := range Kinds {
				for _, what := range []process.What{process.Received, process.Decided} {
					p := Process{Head: process.Head{Role: role, State: from, PeerPid: "peer"}}
					q, fx, err := Step(p, Event{What: what, Kind: kind, PeerPid: "peer", Digest: "d"})
					if err != nil {
						if !errors.Is(err, process.ErrIllegal) || q.State != p.State || q.Version != p.Version || q.Pending != nil {
							t.Errorf("%s %s %s %s: refused with %v and %+v", role, from.Name(), what, kind, err, q)
						}
						continue
					}
					fmt.Fprintf(&b, "%-8s %-10s %-8s %-47s %-10s", role, from.Name(), what, kind, q.State)
					for _, f := range fx {
						fmt.Fprintf(&b, " %s", f.Do)
					}
					if q.Pending != nil {
						fmt.Fprintf(&b, " -> %s once acknowledged", q.Pending.To)
					}
					b.WriteByte('\n')
				}
			}
		}
	}
	golden(t, "steps.txt", b.String())
}

func TestTheTableForTheDocuments(t *testing.T) {
	t.Parallel()
	golden(t, "table.md", Table.Markdown()+"\n```mermaid\n"+Table.Mermaid()+"```\n")
	for _, tr := range Table.Transitions() {
		if to, ok := Table.Next(tr.Role, tr.From, tr.Kind, tr.Dir); !ok || to != tr.To {
			t.Errorf("%+v is not what the machine does", tr)
		}
	}
}

// What the compatibility kit proves refused (dsp.md 6.2).
func TestRefusedByTheKit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		role Role
		from State
		kind Kind
	}{
		{Consumer, Offered, KindAgreement}, {Provider, Requested, KindRequest}, {Consumer, Accepted, KindOffer},
		{Consumer, Agreed, KindFinalized}, {Consumer, Requested, KindFinalized}, {Consumer, Accepted, KindFinalized},
		{Provider, Offered, KindVerification}, {Provider, Accepted, KindVerification},
		{Provider, Finalized, KindTermination}, {Consumer, Finalized, KindTermination},
	} {
		if _, _, err := Step(Process{Head: process.Head{Role: c.role, State: c.from, PeerPid: "x"}}, Event{What: process.Received, Kind: c.kind, PeerPid: "x"}); !errors.Is(err, process.ErrIllegal) {
			t.Errorf("%s in %s took %s: %v", c.role, c.from, c.kind, err)
		}
	}
}

func TestTheNextMessageAcknowledgesOurs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		role    Role
		from    State
		flying  Kind
		to      State
		arrives Kind
		want    State
	}{
		{"agreement before the answer to our request", Consumer, None, KindRequest, Requested, KindAgreement, Agreed},
		{"offer before the answer to our request", Consumer, None, KindRequest, Requested, KindOffer, Offered},
		{"termination before the answer to our request", Consumer, None, KindRequest, Requested, KindTermination, Terminated},
		{"agreement before the answer to ACCEPTED", Consumer, Offered, KindAccepted, Accepted, KindAgreement, Agreed},
		{"verification before the answer to our agreement", Provider, Requested, KindAgreement, Agreed, KindVerification, Verified},
		{"FINALIZED before the answer to our verification", Consumer, Agreed, KindVerification, Verified, KindFinalized, Finalized},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := Process{Head: process.Head{Role: c.role, State: c.from}, Body: Body{Talk: process.Talk{Pending: &process.Pending{Kind: c.flying, Job: "j", To: c.to}}}}
			q, fx, err := Step(p, Event{What: process.Received, Kind: c.arrives, PeerPid: "peer"})
			if err != nil || q.State != c.want || q.Pending != nil || q.PeerPid != "peer" {
				t.Fatalf("got %+v, %v", q, err)
			}
			var dropped, reached bool
			for _, f := range fx {
				dropped = dropped || f.Do == process.Drop && f.Job == "j"
				reached = reached || f.Do == process.Reached && f.Kind == c.flying
			}
			if !dropped || c.arrives != KindTermination && !reached {
				t.Errorf("effects %+v", fx)
			}
			if _, _, err := Step(q, Event{What: process.Acknowledged, Kind: c.flying, Job: "j"}); !errors.Is(err, process.ErrStale) {
				t.Errorf("the late answer moved it: %v", err)
			}
		})
	}
}

func TestRepeats(t *testing.T) {
	t.Parallel()
	repeat := func(fx []process.Effect) bool { return len(fx) == 1 && fx[0].Do == process.Repeat }
	p := Process{Head: process.Head{Role: Provider, State: Offered, PeerPid: "c"}}
	first := Event{What: process.Received, Kind: KindAccepted, ID: "m1", Digest: "d1", PeerPid: "c"}
	q, _, err := Step(p, first)
	if err != nil {
		t.Fatal(err)
	}
	if r, fx, err := Step(q, first); err != nil || !repeat(fx) || r.Version != q.Version {
		t.Errorf("the same @id: %+v %v", fx, err)
	}
	other := first
	other.ID = "m2"
	if _, _, err := Step(q, other); !errors.Is(err, process.ErrIllegal) {
		t.Errorf("another @id: %v", err)
	}
	bare := first
	bare.ID = ""
	q, _, _ = Step(p, bare)
	if _, fx, err := Step(q, bare); err != nil || !repeat(fx) {
		t.Errorf("without @id, same bytes: %+v %v", fx, err)
	}
	bare.Digest = "d2"
	if _, _, err := Step(q, bare); !errors.Is(err, process.ErrIllegal) {
		t.Errorf("without @id, other bytes: %v", err)
	}
	// CN:03-04: a second counter-offer is refused, byte for byte the same or not.
	counter := Event{What: process.Received, Kind: KindRequest, Digest: "o", PeerPid: "c"}
	q, _, err = Step(Process{Head: process.Head{Role: Provider, State: Offered, PeerPid: "c"}}, counter)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := Step(q, counter); !errors.Is(err, process.ErrIllegal) {
		t.Errorf("a second counter-offer: %v", err)
	}
	if _, _, err := Step(p, Event{What: process.Received, Kind: KindVerification, PeerPid: "another"}); !errors.Is(err, process.ErrOtherPid) {
		t.Errorf("another pid: %v", err)
	}
}

func TestTerminationWhileTheFirstMessageIsUnderWay(t *testing.T) {
	t.Parallel()
	p := Process{Head: process.Head{Role: Consumer}, Body: Body{Talk: process.Talk{Pending: &process.Pending{Kind: KindRequest, Job: "j", To: Requested}}}}
	q, fx, err := Step(p, Event{What: process.Decided, Kind: KindTermination, Reason: "changed our mind"})
	if err != nil || q.State != Terminated || q.Pending == nil || len(fx) != 0 {
		t.Fatalf("%+v %+v %v", q, fx, err)
	}
	heard, fx, err := Step(q, Event{What: process.Acknowledged, Kind: KindRequest, Job: "j", PeerPid: "p"})
	if err != nil || heard.State != Terminated || heard.PeerPid != "p" || len(fx) != 1 || fx[0].Do != process.Send || heard.Pending.Kind != KindTermination {
		t.Fatalf("answered: %+v %+v %v", heard, fx, err)
	}
	never, fx, err := Step(q, Event{What: process.Failed, Kind: KindRequest, Job: "j"})
	if err != nil || never.Pending != nil || len(fx) != 0 || never.Reason != "changed our mind" {
		t.Fatalf("never heard: %+v %+v %v", never, fx, err)
	}
}
