// Package script reads conversations: one text file a scenario that says what a
// counterpart sends, what our node sends, and what our own side decides when the
// protocol leaves it the choice. The official kit's harness takes the decisions
// from them; the conversation tests play them as a whole.
//
// It is not for speaking: it opens no connection and knows no node.
//
// A file is a line with the id, sentences up to the first empty line, then lines
// of the forms that Parse names; # begins a comment.
package script

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Conversation is one scenario.
type Conversation struct {
	ID    string // as the kit writes it, such as CN:01-03
	Title string // one or more sentences for people

	Provider  bool   // our node provides; else it consumes
	Dataset   string // "" for transfers
	Offer     string // id of the dataset's offer
	Agreement string // "" for negotiations
	Disabled  string // why the kit does not run it; "" when it does

	Rules []Rule
	Moves []Move
}

// Rule is a decision of our own side.
type Rule struct {
	State string // state that was entered
	Visit int    // 1 for the first time; 0 for each time
	Step  string // one of Steps
	Terms string // of offer and counter: the rules of ours, as JSON; "" for what stands
}

// Kind says who acts in a move.
type Kind int

const (
	Theirs  Kind = iota // the counterpart sends
	Ours                // our node sends
	Reading             // the counterpart reads our state
	Showing             // what the answer before must show
)

// Move is one line of the conversation.
type Move struct {
	Kind    Kind
	Message string // one of Messages; of Reading the state; of Showing the dataset
	Answer  Answer // of Theirs: how our node must answer
	Again   bool   // of Theirs: the same bytes as the message of that name before

	Status  int    // of Theirs: how exactly it is refused; 0 for any way
	Code    string // of Theirs: code of the error that refuses it; "" for any
	Media   string // of Theirs: its content type, when it is not JSON's
	Size    int    // of Theirs: blanks that are put before it
	Another bool   // of Theirs: another participant says it

	Lost      bool // of Ours: the counterpart takes it, and its answer is lost
	Overtaken bool // of Ours: the counterpart's next message comes before its answer

	Members []Member // of Theirs: what it says instead; of Ours: what it must say
}

// Member is one member of a message.
type Member struct {
	Path  string // JSON pointer
	Value any    // as encoding/json reads it; nil leaves the member out
}

// Answer is how our node answers a message.
type Answer int

const (
	Accepted Answer = iota // 2xx
	Refused                // 4xx, but not 404
	Unknown                // 404 with an error of the protocol
)

// Steps are what our own side can decide.
var Steps = []string{"offer", "counter", "agree", "accept", "verify", "finalize", "terminate", "start", "suspend", "complete"}

// Messages are the names of what goes over the wire. request is the first one of
// a process, of a negotiation or of a transfer; counter is the consumer's later
// request within a negotiation; accepted and finalized are the two events.
var Messages = []string{
	"version", "catalog", "dataset",
	"request", "counter", "offer", "accepted", "agreement", "verification", "finalized", "termination",
	"start", "suspension", "completion",
}

// States are those of negotiations and transfers.
var States = []string{"REQUESTED", "OFFERED", "ACCEPTED", "AGREED", "VERIFIED", "FINALIZED", "TERMINATED",
	"STARTED", "SUSPENDED", "COMPLETED"}

// Negotiation tells a conversation about terms from one about a transfer or a catalogue.
func (c Conversation) Negotiation() bool { return c.Dataset != "" && len(c.Moves) > 0 && !c.reads() }

// Transfer tells a conversation about data under an agreement.
func (c Conversation) Transfer() bool { return c.Agreement != "" }

func (c Conversation) reads() bool {
	return c.Moves[0].Message == "version" || c.Moves[0].Message == "catalog" || c.Moves[0].Message == "dataset"
}

// Decide gives our side's step when a process enters state for the visit-th time;
// "" when our side waits.
func (c Conversation) Decide(state string, visit int) string {
	for _, r := range c.Rules {
		if r.State == state && (r.Visit == 0 || r.Visit == visit) {
			return r.Step
		}
	}
	return ""
}

// File is the name of a conversation's file: CN:01-03 lies in CN-01-03.txt.
func File(id string) string { return strings.ReplaceAll(id, ":", "-") + ".txt" }

// Load reads all *.txt files at the top of a folder, in the order of their
// names. Two with one id, and a file that is not named by its id, are errors.
func Load(folder fs.FS) ([]Conversation, error) {
	names, err := fs.Glob(folder, "*.txt")
	if err != nil {
		return nil, err
	}
	var all []Conversation
	for _, name := range names {
		b, err := fs.ReadFile(folder, name)
		if err != nil {
			return nil, err
		}
		c, err := Parse(name, string(b))
		if err != nil {
			return nil, err
		}
		if want := File(c.ID); path.Base(name) != want {
			return nil, fmt.Errorf("%s: %s belongs in %s", name, c.ID, want)
		}
		all = append(all, c)
	}
	return all, nil
}

// Parse reads one conversation; name is for errors, which name the line too.
//
//	CN:01-03 We are the provider        the id, and a title
//	More of the title.
//
//	provider                            or consumer: what our node is
//	dataset ACN0103                     and offer ID, or agreement ID
//	disabled by the kit: reason
//	when REQUESTED: offer               our decision; when 2nd REQUESTED: terminate;
//	                                    rules may follow an offer and a counter
//	-> request                          the counterpart sends; then refused,
//	                                    unknown or again may stand
//	<- offer                            our node sends
//	state FINALIZED                     the counterpart reads our state
//	shows CAT0101                       what the answer holds
//
// After "-> MESSAGE" may also stand "as TYPE" for another content type, "after N
// blanks", "from another" for another participant, and after "refused" the status
// or the code of the error. After "<- MESSAGE" may stand "lost" and "overtaken".
// Lines "with /path value" and "without /path" change a message of the
// counterpart, and "holds /path value" is what one of ours must say; a value is
// JSON, else a text.
func Parse(name, text string) (Conversation, error) {
	var c Conversation
	var title []string
	head, role := true, false
	for i, line := range strings.Split(text, "\n") {
		fail := func(format string, v ...any) (Conversation, error) {
			return c, fmt.Errorf("%s:%d: %s", name, i+1, fmt.Sprintf(format, v...))
		}
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		switch {
		case head && c.ID == "" && len(words) == 0:
			continue
		case head && c.ID == "":
			c.ID, title = words[0], append(title, words[1:]...)
			continue
		case head && len(words) > 0:
			title = append(title, words...)
			continue
		case len(words) == 0:
			head = false
			continue
		}
		if reason, ok := strings.CutPrefix(strings.TrimSpace(line), "disabled by the kit: "); ok {
			c.Disabled = reason
			continue
		}
		switch first := words[0]; first {
		case "provider", "consumer":
			if role || len(words) != 1 {
				return fail("say once whether our node is provider or consumer")
			}
			c.Provider, role = first == "provider", true
		case "dataset", "offer", "agreement":
			if len(words) != 2 {
				return fail("%s has one id", first)
			}
			*map[string]*string{"dataset": &c.Dataset, "offer": &c.Offer, "agreement": &c.Agreement}[first] = words[1]
		case "with", "without", "holds":
			if err := member(c.Moves, words); err != nil {
				return fail("%v", err)
			}
		case "when":
			decision, terms, _ := strings.Cut(strings.TrimSpace(line), " {")
			r, err := rule(strings.Fields(decision)[1:])
			if err != nil {
				return fail("%v", err)
			}
			if terms != "" {
				r.Terms = "{" + terms
			}
			c.Rules = append(c.Rules, r)
		default:
			m, err := move(words)
			if err != nil {
				return fail("%v", err)
			}
			c.Moves = append(c.Moves, m)
		}
	}
	c.Title = strings.Join(title, " ")
	switch {
	case c.ID == "" || c.Title == "":
		return c, fmt.Errorf("%s: the first line is an id and a title", name)
	case !role:
		return c, fmt.Errorf("%s: provider or consumer is missing", name)
	case len(c.Moves) == 0:
		return c, fmt.Errorf("%s: nothing is said", name)
	}
	return c, nil
}

// ordinals name visits in files.
var ordinals = []string{"", "1st", "2nd", "3rd", "4th", "5th", "6th", "7th", "8th", "9th"}

func rule(words []string) (Rule, error) {
	var r Rule
	if len(words) == 3 {
		if r.Visit = slices.Index(ordinals, words[0]); r.Visit < 1 {
			return r, fmt.Errorf("%s is not 1st to 9th", words[0])
		}
		words = words[1:]
	}
	if len(words) != 2 || !strings.HasSuffix(words[0], ":") {
		return r, fmt.Errorf("a decision reads: when [2nd] STATE: step")
	}
	r.State, r.Step = strings.TrimSuffix(words[0], ":"), words[1]
	if !slices.Contains(States, r.State) {
		return r, fmt.Errorf("there is no state %s", r.State)
	}
	if !slices.Contains(Steps, r.Step) {
		return r, fmt.Errorf("there is no step %s", r.Step)
	}
	return r, nil
}

func move(words []string) (Move, error) {
	if len(words) < 2 {
		return Move{}, fmt.Errorf("%q is not understood", strings.Join(words, " "))
	}
	m := Move{Message: words[1]}
	known := Messages
	switch words[0] {
	case "->":
		m.Kind = Theirs
		if err := m.theirs(words[2:]); err != nil {
			return m, err
		}
		words = words[:2]
	case "<-":
		m.Kind = Ours
		for _, w := range words[2:] {
			switch w {
			case "lost":
				m.Lost = true
			case "overtaken":
				m.Overtaken = true
			default:
				return m, fmt.Errorf("too many words after %s: %s is not lost or overtaken", words[1], w)
			}
		}
		words = words[:2]
	case "state":
		m.Kind, known = Reading, States
	case "shows":
		m.Kind, known = Showing, nil
	default:
		return m, fmt.Errorf("%q is not understood", strings.Join(words, " "))
	}
	if len(words) != 2 {
		return m, fmt.Errorf("too many words after %s", words[1])
	}
	if known != nil && !slices.Contains(known, m.Message) {
		return m, fmt.Errorf("%s %s is not known", words[0], m.Message)
	}
	return m, nil
}

// theirs reads what follows a message of the counterpart.
func (m *Move) theirs(words []string) error {
	for i := 0; i < len(words); i++ {
		after := ""
		if i+1 < len(words) {
			after = words[i+1]
		}
		n, err := strconv.Atoi(after)
		switch w := words[i]; {
		case w == "refused":
			m.Answer = Refused
			switch {
			case err == nil:
				m.Status, i = n, i+1
			case after != "" && after != "again":
				m.Code, i = after, i+1
			}
		case w == "unknown":
			m.Answer = Unknown
		case w == "again":
			m.Again = true
		case w == "as" && after != "":
			m.Media, i = after, i+1
		case w == "from" && after == "another":
			m.Another, i = true, i+1
		case w == "after" && err == nil && i+2 < len(words) && words[i+2] == "blanks":
			m.Size, i = n, i+2
		default:
			return fmt.Errorf("%s is not refused, unknown, again, as, from or after", w)
		}
	}
	return nil
}

// member reads a line about the message before it.
func member(moves []Move, words []string) error {
	if len(words) < 2 || !strings.HasPrefix(words[1], "/") {
		return fmt.Errorf("%s names a member by its path", words[0])
	}
	if len(moves) == 0 || (moves[len(moves)-1].Kind == Ours) != (words[0] == "holds") || moves[len(moves)-1].Kind > Ours {
		return fmt.Errorf("%s does not belong to the line before", words[0])
	}
	v := Member{Path: words[1]}
	if text := strings.Join(words[2:], " "); words[0] != "without" && json.Unmarshal([]byte(text), &v.Value) != nil {
		v.Value = text
	}
	m := &moves[len(moves)-1]
	m.Members = append(m.Members, v)
	return nil
}
