package main

import (
	"bytes"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"kakehashi/internal/strictjson"
)

// slowness makes a side one that is slow to commit, as real connectors are: it
// answers 2xx and only then, up to 300 ms later, knows its new state; what comes
// for that process meanwhile is refused, and who asks for its state hears the one
// before. A repeat of what it has applied gets 409 for ever.
//
// The side's front and that of its counterpart share it.
type slowness struct {
	dice *dice
	path string // of the slow side's protocol

	mu      sync.Mutex
	windows map[string]window // by pid
	applied map[string]bool   // @id
	refused int
}

// window is a process that the side does not know the newest of.
type window struct {
	until         time.Time
	before, after string // states
}

const mostSlow = 300 * time.Millisecond

func newSlowness(d *dice, path string) *slowness {
	return &slowness{dice: d, path: path, windows: map[string]window{}, applied: map[string]bool{}}
}

// head is what a message says of its process.
type head struct {
	ID       string `json:"@id"`
	Type     string `json:"@type"`
	Consumer string `json:"consumerPid"`
	Provider string `json:"providerPid"`
	State    string `json:"state"`
	Event    string `json:"eventType"`
}

// led is the state that a message leads to.
func (h head) led() string {
	switch h.Type {
	case "ContractRequestMessage":
		return "REQUESTED"
	case "ContractOfferMessage":
		return "OFFERED"
	case "ContractAgreementMessage":
		return "AGREED"
	case "ContractAgreementVerificationMessage":
		return "VERIFIED"
	case "ContractNegotiationEventMessage":
		return h.Event
	case "TransferRequestMessage":
		return "REQUESTED"
	case "TransferStartMessage":
		return "STARTED"
	case "TransferCompletionMessage":
		return "COMPLETED"
	case "TransferSuspensionMessage":
		return "SUSPENDED"
	default:
		return "TERMINATED"
	}
}

// mine says whether a request goes to the slow side's processes.
func (s *slowness) mine(r *http.Request) (pid string, ok bool) {
	rest, ok := strings.CutPrefix(r.URL.Path, s.path+"/")
	if !ok {
		return "", false
	}
	parts := strings.Split(rest, "/")
	if len(parts) < 2 || parts[0] != "negotiations" && parts[0] != "transfers" {
		return "", false
	}
	return parts[1], true
}

// admits lets a message pass, or refuses it as a connector does that has not
// committed yet.
func (s *slowness) admits(w http.ResponseWriter, r *http.Request, body []byte) bool {
	pid, ok := s.mine(r)
	if !ok || r.Method != http.MethodPost {
		return true
	}
	var h head
	_ = strictjson.DecodeOpen(body, &h)
	s.mu.Lock()
	defer s.mu.Unlock()
	status := 0
	if h.ID != "" && s.applied[h.ID] {
		status = http.StatusConflict
	} else if time.Now().Before(s.windows[pid].until) {
		status = []int{http.StatusNotFound, http.StatusConflict, http.StatusBadRequest}[s.refused%3]
		s.refused++
	}
	if status == 0 {
		return true
	}
	http.Error(w, "the process is in another state", status)
	return false
}

var stateMember = regexp.MustCompile(`"state"\s*:\s*"[A-Z]+"`)

// answered opens the window that follows a 2xx, and gives the answer as the slow
// side knows it.
func (s *slowness) answered(r *http.Request, body []byte, status int, reply []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Method == http.MethodGet {
		pid, ok := s.mine(r)
		if w := s.windows[pid]; ok && time.Now().Before(w.until) && w.before != "" {
			return stateMember.ReplaceAll(reply, []byte(`"state":"`+w.before+`"`))
		}
		return reply
	}
	if r.Method != http.MethodPost || status < 200 || status > 299 {
		return reply
	}
	var h, back head
	_ = strictjson.DecodeOpen(body, &h)
	_ = strictjson.DecodeOpen(bytes.TrimSpace(reply), &back)
	if _, ok := s.mine(r); ok && h.ID != "" {
		s.applied[h.ID] = true
	}
	until := time.Now().Add(s.dice.between(0, mostSlow))
	for _, pid := range []string{h.Consumer, h.Provider, back.Consumer, back.Provider} {
		if pid != "" && s.windows[pid].after != h.led() {
			s.windows[pid] = window{until: until, before: s.windows[pid].after, after: h.led()}
		}
	}
	return reply
}
