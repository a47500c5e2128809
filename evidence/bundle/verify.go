package bundle

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"kakehashi/internal/strictjson"
)

// expected are the hashes of a leaf whose bodies belong into a bundle.
var expected = []string{"message", "token", "agreement"}

// Verify checks one bundle against the verifier's anchors. The error is of
// reading r only; whatever is wrong with the bundle is in the Report.
func Verify(r io.ReaderAt, size int64, t Trust) (Report, error) {
	c := check{trust: t, r: Report{Events: []Event{}, Problems: []Finding{}, Missing: []Finding{}, Notes: []Finding{}}}
	a, err := openArchive(r, size)
	if err != nil {
		if rd := (*readError)(nil); errors.As(err, &rd) {
			return c.r, fmt.Errorf("read bundle: %w", rd.err)
		}
		c.r.problem("not-a-bundle", "", err.Error())
		c.r.judge()
		return c.r, nil
	}
	c.a = a
	if c.manifest() && c.logKey() {
		c.events()
		c.bodies()
		c.keys()
		c.senders()
	}
	c.r.judge()
	if err := a.brokenSource(); err != nil {
		return c.r, fmt.Errorf("read bundle: %w", err)
	}
	return c.r, nil
}

// limitOf is the largest size of a file of this name; -1: it has no place in a bundle.
func limitOf(name string) int64 {
	dir, base, ok := strings.Cut(name, "/")
	switch {
	case name == ManifestName:
		return MaxManifest
	case name == ReadmeName:
		return maxReadme
	case !ok:
		return -1
	case dir == "events":
		if n, ok := position(base, ".json"); ok && EventName(n) == name {
			return MaxLeaf
		}
	case dir == "proofs":
		if n, ok := position(base, ".tlog-proof"); ok && ProofName(n) == name {
			return MaxProof
		}
	case dir == "bodies":
		if isHex64(base) {
			return MaxBody
		}
	case dir == "keys":
		if IsKeyName(base) {
			return MaxKeyFile
		}
	}
	return -1
}

func position(base, ext string) (int64, bool) {
	s, ok := strings.CutSuffix(base, ext)
	n, err := strconv.ParseInt(s, 10, 64)
	return n, ok && err == nil && n >= 0
}

// IsKeyName tells whether a file below keys/ may have this name: 1 to 100 of
// letters, digits, '-', '_' and '.', not beginning with '.'.
func IsKeyName(s string) bool {
	if s == "" || len(s) > 100 || s[0] == '.' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.') {
			return false
		}
	}
	return true
}

// check is one run of Verify.
type check struct {
	a        *archive
	trust    Trust
	r        Report
	man      Manifest
	withheld map[string]bool
	note     []byte
	cp       Checkpoint
	leaves   []Leaf            // beside r.Events
	tokens   map[string][]byte // digests that leaves name as token, filled by bodies
	here     map[string]bool   // bodies in the bundle
}

// file reads one file and puts a problem where that fails.
func (c *check) file(name string) ([]byte, bool) {
	e, ok := c.a.find(name)
	if !ok {
		c.r.problem("file-absent", name, "")
		return nil, false
	}
	b, err := c.a.bytes(e)
	if err != nil {
		c.r.problem("file-damaged", name, err.Error())
		return nil, false
	}
	return b, true
}

func (c *check) manifest() bool {
	b, ok := c.file(ManifestName)
	if !ok {
		return false
	}
	if err := strictjson.Decode(b, &c.man); err != nil {
		c.r.problem("manifest", ManifestName, err.Error())
		return false
	}
	c.r.Tenant, c.r.Origin, c.r.Agreement, c.r.Made = c.man.Tenant, c.man.Origin, c.man.Agreement, c.man.Made
	if c.man.Format != Format {
		c.r.problem("format", ManifestName, c.man.Format)
		return false
	}
	if c.man.Tenant == "" || c.man.Origin == "" {
		c.r.problem("manifest", ManifestName, "tenant or origin is missing")
		return false
	}
	c.withheld = make(map[string]bool, len(c.man.Withheld))
	for _, w := range c.man.Withheld {
		c.withheld[w.Digest] = true
	}
	return true
}

// logKey reads the key in the bundle, which tells whether the bundle agrees
// with itself, and compares it with the anchors, which tell whose it is.
func (c *check) logKey() bool {
	b, ok := c.file(LogKeyName)
	if !ok {
		return false
	}
	vkey := strings.TrimSuffix(string(b), "\n")
	v, err := note.NewVerifier(vkey)
	if err != nil || v.Name() != c.man.Origin {
		c.r.problem("log-key", LogKeyName, "")
		return false
	}
	if !c.checkpoint(v) {
		return false
	}
	anchors := c.trust.logs[c.man.Origin]
	i := slices.IndexFunc(anchors, func(a logAnchor) bool { return a.vkey == vkey })
	switch {
	case len(anchors) == 0:
		c.r.note("log-not-anchored", c.man.Origin, "")
	case i < 0:
		c.r.problem("log-key-other", LogKeyName, c.man.Origin)
	case anchors[i].speaksFor(c.man.Tenant):
		c.r.Anchored = true
	case anchors[i].did != "":
		c.r.problem("log-of-another", ManifestName, anchors[i].did)
	default:
		c.r.note("log-owner-unknown", c.man.Origin, c.man.Tenant)
	}
	return true
}

// checkpoint takes the note of the first proof; events demands the same of all.
func (c *check) checkpoint(v note.Verifier) bool {
	i := slices.IndexFunc(c.a.entries, func(e entry) bool { return strings.HasPrefix(e.name, "proofs/") })
	if i < 0 {
		c.r.problem("no-events", "", "")
		return false
	}
	name := c.a.entries[i].name
	b, ok := c.file(name)
	if !ok {
		return false
	}
	p, err := ParseProof(b)
	if err != nil {
		c.r.problem("proof", name, err.Error())
		return false
	}
	if c.cp, err = OpenCheckpoint(p.Note, v); err != nil {
		c.r.problem("checkpoint", name, err.Error())
		return false
	}
	c.note = p.Note
	c.r.Size, c.r.Root, c.r.Checkpoint = c.cp.Size, base64.StdEncoding.EncodeToString(c.cp.Root[:]), string(p.Note)
	return true
}

// events checks each leaf: its form, its owner, its place in the log.
func (c *check) events() {
	var names []entry
	proofs := 0
	for _, e := range c.a.entries {
		if strings.HasPrefix(e.name, "events/") {
			names = append(names, e)
		}
		if strings.HasPrefix(e.name, "proofs/") {
			proofs++
		}
	}
	slices.SortFunc(names, func(a, b entry) int { // by position: names of 8 digits and of 9 mix otherwise
		return cmp.Or(cmp.Compare(len(a.name), len(b.name)), cmp.Compare(a.name, b.name))
	})
	leaves := make([]Leaf, len(names))
	faults := make([]*Finding, len(names))
	pos := make([]int64, len(names))
	parallel(len(names), func(i int) {
		base := strings.TrimPrefix(names[i].name, "events/")
		pos[i], _ = position(base, ".json")
		leaves[i], faults[i] = c.event(names[i], pos[i])
	})
	if proofs != len(names) {
		c.r.problem("proofs-surplus", "proofs/", "")
	}
	ids := make(map[string]bool, len(names))
	c.tokens, c.here = map[string][]byte{}, map[string]bool{}
	for i, l := range leaves {
		if f := faults[i]; f != nil {
			c.r.problem(f.Code, f.Where, f.Detail)
			continue
		}
		if ids[l.ID] {
			c.r.problem("event-twice", names[i].name, l.ID)
		}
		ids[l.ID] = true
		c.leaves = append(c.leaves, l)
		c.r.Events = append(c.r.Events, Event{Position: pos[i], ID: l.ID, Time: l.Time, Type: l.Type, Process: l.Process, Version: l.Version,
			Direction: l.Direction, Actor: l.Actor, Counterparty: l.Counterparty, Correlation: l.Correlation, Facts: l.Facts, Message: l.Hashes["message"]})
		if t := l.Hashes["token"]; t != "" {
			c.tokens[t] = nil
		}
	}
}

func (c *check) event(e entry, pos int64) (Leaf, *Finding) {
	b, err := c.a.bytes(e)
	if err != nil {
		return Leaf{}, &Finding{"file-damaged", e.name, err.Error()}
	}
	l, err := ParseLeaf(b)
	if err != nil {
		return l, &Finding{"event", e.name, err.Error()}
	}
	if l.Tenant != c.man.Tenant {
		return l, &Finding{"event-of-another", e.name, l.Tenant}
	}
	pe, ok := c.a.find(ProofName(pos))
	if !ok {
		return l, &Finding{"file-absent", ProofName(pos), ""}
	}
	pb, err := c.a.bytes(pe)
	if err != nil {
		return l, &Finding{"file-damaged", pe.name, err.Error()}
	}
	p, err := ParseProof(pb)
	if err != nil {
		return l, &Finding{"proof", pe.name, err.Error()}
	}
	if p.Index != pos || !bytes.Equal(p.Note, c.note) {
		return l, &Finding{"proof", pe.name, "it is for another position or checkpoint"}
	}
	if p.Index >= c.cp.Size {
		return l, &Finding{"not-in-log", e.name, "position beyond the log"}
	}
	if err := tlog.CheckRecord(p.Hashes, c.cp.Size, c.cp.Root, p.Index, tlog.RecordHash(b)); err != nil {
		return l, &Finding{"not-in-log", e.name, ""}
	}
	return l, nil
}

// bodies checks that each body has its digest and that some leaf names it.
func (c *check) bodies() {
	named := map[string]bool{}
	for _, l := range c.leaves {
		for _, d := range l.Hashes {
			named[d] = true
		}
	}
	var es []entry
	for _, e := range c.a.entries {
		if strings.HasPrefix(e.name, "bodies/") {
			es = append(es, e)
		}
	}
	faults := make([]*Finding, len(es))
	data := make([][]byte, len(es))
	parallel(len(es), func(i int) {
		digest := "sha256:" + strings.TrimPrefix(es[i].name, "bodies/")
		b, err := c.a.bytes(es[i])
		_, token := c.tokens[digest]
		switch {
		case err != nil:
			faults[i] = &Finding{"file-damaged", es[i].name, err.Error()}
		case Digest(b) != digest:
			faults[i] = &Finding{"body-digest", es[i].name, ""}
		case !named[digest]:
			faults[i] = &Finding{"file-surplus", es[i].name, ""}
		case token:
			data[i] = b
		}
	})
	for i, e := range es {
		digest := "sha256:" + strings.TrimPrefix(e.name, "bodies/")
		if f := faults[i]; f != nil {
			c.r.problem(f.Code, f.Where, f.Detail)
			continue
		}
		c.here[digest] = true
		if data[i] != nil {
			c.tokens[digest] = data[i]
		}
	}
	told := map[string]bool{}
	for i, l := range c.leaves {
		for _, name := range expected {
			d := l.Hashes[name]
			if d == "" {
				continue
			}
			held := HeldHere
			switch {
			case c.here[d]:
			case c.withheld[d]:
				held = HeldWithheld
				if !told[d] {
					c.r.note("withheld", d, name)
				}
			default:
				held = HeldMissing
				if !told[d] {
					c.r.missing("body-missing", d, name)
				}
			}
			told[d] = true
			if name == "message" {
				c.r.Events[i].Held = held
			}
		}
	}
}

// keys checks that the files below keys/ are those that the manifest names;
// what they say is not believed and not read.
func (c *check) keys() {
	if _, ok := c.file(ReadmeName); !ok {
		return
	}
	for _, e := range c.a.entries {
		base, ok := strings.CutPrefix(e.name, "keys/")
		if !ok || e.name == LogKeyName {
			continue
		}
		if !slices.Contains(c.man.Keys, base) {
			c.r.problem("file-surplus", e.name, "")
			continue
		}
		c.file(e.name)
	}
	for _, k := range c.man.Keys {
		if _, ok := c.a.find("keys/" + k); !ok || !IsKeyName(k) {
			c.r.problem("file-absent", "keys/"+k, "")
		}
	}
}

// senders judges who wrote each received message.
func (c *check) senders() {
	faults := make([]*Finding, len(c.r.Events))
	parallel(len(c.r.Events), func(i int) {
		ev := &c.r.Events[i]
		if ev.Direction != "in" || ev.Message == "" {
			return
		}
		d := c.leaves[i].Hashes["token"]
		switch raw := c.tokens[d]; {
		case d == "":
			ev.Sender, ev.Detail = SenderUnproven, "no token is on record"
		case raw == nil:
			ev.Sender, ev.Detail = SenderUnsigned, "the token is not in the bundle"
		default:
			faults[i] = judgeSender(ev, c.man.Tenant, raw, c.trust)
		}
	})
	unsigned, unproven, unknown := map[string]int{}, map[string]int{}, map[string]int{}
	for i, ev := range c.r.Events {
		if f := faults[i]; f != nil {
			c.r.problem(f.Code, f.Where, f.Detail)
		}
		switch ev.Sender {
		case SenderUnsigned:
			unsigned[ev.Counterparty]++
		case SenderUnproven:
			unproven[ev.Counterparty]++
		case SenderNotAnchored:
			unknown[ev.Counterparty]++
		}
	}
	for _, ev := range c.r.Events { // in the order of first appearance
		who := ev.Counterparty
		if n := unsigned[who]; n > 0 {
			c.r.note("sender-unsigned", who, strconv.Itoa(n))
			delete(unsigned, who)
		}
		if n := unproven[who]; n > 0 {
			c.r.note("sender-unproven", who, strconv.Itoa(n))
			delete(unproven, who)
		}
		if n := unknown[who]; n > 0 {
			c.r.note("sender-not-anchored", who, strconv.Itoa(n))
			delete(unknown, who)
		}
	}
}

// parallel runs f for 0..n-1 on all processors.
func parallel(n int, f func(i int)) {
	workers := min(runtime.GOMAXPROCS(0), n)
	if workers <= 1 {
		for i := range n {
			f(i)
		}
		return
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	wg.Wait()
}
