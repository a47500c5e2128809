package transfer

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
					fmt.Fprintf(&b, "%-8s %-10s %-8s %-26s %-10s", role, from.Name(), what, kind, q.State)
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

// What the compatibility kit proves refused (dsp.md 7.2).
func TestRefusedByTheKit(t *testing.T) {
	t.Parallel()
	for _, role := range []Role{Provider, Consumer} {
		for _, c := range []struct {
			from State
			kind Kind
		}{
			{Requested, KindCompletion}, {Requested, KindSuspension}, {Suspended, KindCompletion},
			{Terminated, KindStart}, {Terminated, KindSuspension}, {Terminated, KindCompletion}, {Completed, KindTermination},
		} {
			if _, _, err := Step(Process{Head: process.Head{Role: role, State: c.from, PeerPid: "x"}}, Event{What: process.Received, Kind: c.kind, PeerPid: "x"}); !errors.Is(err, process.ErrIllegal) {
				t.Errorf("%s in %s took %s: %v", role, c.from, c.kind, err)
			}
		}
	}
	if _, _, err := Step(Process{Head: process.Head{Role: Provider, State: Requested, PeerPid: "x"}}, Event{What: process.Received, Kind: KindStart, PeerPid: "x"}); !errors.Is(err, process.ErrIllegal) {
		t.Errorf("a consumer started: %v", err)
	}
}

func TestMessagesThatCross(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		role    Role
		from    State
		flying  Kind
		arrives Kind
		want    State // "" is refused
		keeps   bool  // ours stays in flight
	}{
		{"start before the answer to our request", Consumer, None, KindRequest, KindStart, Started, false},
		{"completion before the answer to our start", Provider, Requested, KindStart, KindCompletion, Completed, false},
		{"suspension before the answer to our resume", Provider, Suspended, KindStart, KindSuspension, Suspended, false},
		{"both suspend", Provider, Started, KindSuspension, KindSuspension, Suspended, false},
		{"both complete", Consumer, Started, KindCompletion, KindCompletion, Completed, false},
		{"completion wins over suspension", Consumer, Started, KindSuspension, KindCompletion, Completed, false},
		{"suspension loses against completion", Provider, Started, KindCompletion, KindSuspension, "", true},
		{"both resume, the provider's start brings the address", Provider, Suspended, KindStart, KindStart, Started, true},
		{"both resume, the consumer takes the provider's", Consumer, Suspended, KindStart, KindStart, Started, false},
		{"termination wins", Provider, Started, KindSuspension, KindTermination, Terminated, false},
		{"a new address does not stand in the way of the end", Provider, Started, KindStart, KindCompletion, Completed, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			to, ok := Table.Next(c.role, c.from, c.flying, process.Out)
			if !ok {
				t.Fatal("ours is not legal")
			}
			p := Process{Head: process.Head{Role: c.role, State: c.from}, Body: Body{Talk: process.Talk{Pending: &process.Pending{Kind: c.flying, Job: "j", To: to}}}}
			q, fx, err := Step(p, Event{What: process.Received, Kind: c.arrives, PeerPid: "peer"})
			if c.want == "" {
				if !errors.Is(err, process.ErrIllegal) {
					t.Fatalf("got %+v, %v", q, err)
				}
				return
			}
			if err != nil || q.State != c.want || (q.Pending != nil) != c.keeps {
				t.Fatalf("got %+v, %v", q, err)
			}
			dropped := false
			for _, f := range fx {
				dropped = dropped || f.Do == process.Drop && f.Job == "j"
			}
			if dropped == c.keeps {
				t.Errorf("effects %+v", fx)
			}
		})
	}
}
