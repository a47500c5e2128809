package script_test

import (
	"fmt"
	"strings"
	"testing"

	"kakehashi/conformance/conversations"
	"kakehashi/conformance/script"
)

func TestTheKitsConversationsAreAllThere(t *testing.T) {
	t.Parallel()
	all, err := script.Load(conversations.Files)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, c := range all {
		kind, _, _ := strings.Cut(c.ID, ":")
		got[kind]++
		if c.Disabled != "" {
			got["disabled"]++
		}
		if (strings.HasPrefix(kind, "CN") && !c.Negotiation()) || (strings.HasPrefix(kind, "TP") && !c.Transfer()) {
			t.Errorf("%s: not of its kind", c.ID)
		}
		if strings.HasSuffix(kind, "_C") == c.Provider {
			t.Errorf("%s: wrong role", c.ID)
		}
	}
	want := map[string]int{"MET": 1, "CAT": 3, "CN": 15, "CN_C": 16, "TP": 16, "TP_C": 16, "disabled": 2}
	for kind, n := range want {
		if got[kind] != n {
			t.Errorf("%s: %d, want %d", kind, got[kind], n)
		}
	}
}

func TestDecideCountsVisits(t *testing.T) {
	t.Parallel()
	c, err := script.Parse("x", "X:1 title\n\nprovider\nwhen REQUESTED: start\nwhen 1st STARTED: suspend\nwhen 2nd STARTED: complete\n\n-> request again\n<- start\nstate STARTED\n")
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(c.Decide("REQUESTED", 5), c.Decide("STARTED", 1), c.Decide("STARTED", 2), c.Decide("STARTED", 3), c.Decide("SUSPENDED", 1))
	if want := fmt.Sprint("start", "suspend", "complete", "", ""); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if m := c.Moves[0]; !m.Again || m.Kind != script.Theirs || c.Moves[1].Kind != script.Ours || c.Moves[2].Kind != script.Reading {
		t.Errorf("moves %+v", c.Moves)
	}
}

func TestWhatIsWrongIsNamedByLine(t *testing.T) {
	t.Parallel()
	const head = "X:1 title\n\nprovider\n"
	for text, want := range map[string]string{
		"":                                   "id and a title",
		"X:1 title\n\n-> request\n":          "provider or consumer",
		head:                                 "nothing is said",
		head + "consumer\n":                  "x:4: say once",
		head + "dataset\n":                   "x:4: dataset has one id",
		head + "when GONE: offer\n":          "no state GONE",
		head + "when REQUESTED: dance\n":     "no step dance",
		head + "when 0th REQUESTED: offer\n": "1st to 9th",
		head + "when REQUESTED offer\n":      "a decision reads",
		head + "-> hello\n":                  "hello is not known",
		head + "-> request twice\n":          "twice is not",
		head + "<- offer refused\n":          "too many words",
		head + "state READY\n":               "READY is not known",
		head + "wait\n":                      `"wait" is not understood`,
	} {
		_, err := script.Parse("x", text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}
