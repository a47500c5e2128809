package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"kakehashi/client"
	"kakehashi/conformance/result"
	"kakehashi/internal/strictjson"
	"kakehashi/store/postgres"
	"kakehashi/store/storetest/cluster"
)

// pair is a kind of two sides.
type pair struct {
	name     string
	replicas [2]int // of each side; 0: one node with the embedded store
	slow     bool   // the second is slow to commit
	doubles  bool   // the second is the doubler
}

var pairs = []pair{
	{name: "SQLite - SQLite"},
	{name: "3 replicas - 3 replicas on PostgreSQL", replicas: [2]int{3, 3}},
	{name: "SQLite - 3 replicas on PostgreSQL", replicas: [2]int{0, 3}},
	{name: "SQLite - SQLite, slow to commit", slow: true},
	{name: "SQLite - a partner that doubles", doubles: true},
}

// play is one run of a pair.
type play struct {
	stage
	pair
	total int
	seed  uint64
}

// stage is what all plays share.
type stage struct {
	program, folder string
	inFlight        int
	limit           time.Duration // of the exchanges of one pair
	patience        time.Duration // until all is quiet after the last fault
	proofs          int           // agreements whose evidence is verified
	log             func(format string, args ...any)
}

// outcome is a line of the report.
type outcome struct {
	pair         string
	unit         string // of what is counted, "" for exchanges
	seed         uint64
	counts       result.Counts
	verdict      verdict
	faults       map[string]int
	kills        map[string]int
	tries        int64
	took         time.Duration
	median, most time.Duration // of an exchange
	backMedian   time.Duration // from a kill to the first answer
	backMost     time.Duration
}

// run plays a pair. err is for what kept it from being played.
func (p play) run(ctx context.Context) (o outcome, err error) {
	if p.doubles {
		return p.doubling(ctx)
	}
	o = outcome{pair: p.name, seed: p.seed, faults: map[string]int{}, kills: map[string]int{}}
	if err := os.MkdirAll(p.folder, 0o700); err != nil {
		return o, err
	}
	var base *cluster.Cluster
	if p.replicas[0]+p.replicas[1] > 0 {
		if base, err = cluster.Start(ctx); err != nil {
			return o, err
		}
		defer func() { err = errors.Join(err, base.Close()) }()
	}
	var sides [2]*side
	for i, name := range []string{"tokyo", "brussels"} {
		at, replicas := "", 1
		if p.replicas[i] > 0 {
			if at, _, err = postgres.Apart(ctx, base.URL()); err != nil {
				return o, err
			}
			replicas = p.replicas[i]
		}
		if sides[i], err = newSide(ctx, p.program, filepath.Join(p.folder, name), name, at, replicas); err != nil {
			return o, err
		}
		s := sides[i]
		defer func() {
			for _, r := range s.replicas { // those that the end of the play did not stop
				<-r.signal(os.Kill)
			}
		}()
	}
	if err := p.introduce(ctx, sides); err != nil {
		return o, err
	}

	began := time.Now()
	blowing, calm := context.WithCancel(ctx)
	defer calm()
	var storms sync.WaitGroup
	var winds []*storm
	blow := func(name string, f func(context.Context, *storm)) {
		s := &storm{dice: newDice(p.seed, p.name+name), kinds: map[string]int{}, log: p.log}
		winds = append(winds, s)
		storms.Go(func() { f(blowing, s) })
	}
	for _, s := range sides {
		blow("kills of "+s.name, func(ctx context.Context, w *storm) { w.nodes(ctx, s) })
	}
	if base != nil {
		blow("kills of the database", func(ctx context.Context, w *storm) { w.database(ctx, base) })
	}
	d := &driver{seed: p.seed, dice: newDice(p.seed, p.name+"driver"), data: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 128}}}
	limited, cancel := context.WithTimeoutCause(ctx, p.limit, fmt.Errorf("the exchanges did not end within %s", p.limit))
	defer cancel()
	all := d.run(limited, sides[0], sides[1], p.total, p.inFlight, p.progress(began))
	o.took = time.Since(began)
	calm()
	storms.Wait()
	for _, s := range sides {
		s.front.calm.Store(true)
		for kind, n := range s.front.faults() {
			o.faults[kind] += n
		}
	}
	var wounds error
	var back storm
	for _, w := range winds {
		for kind, n := range w.kinds {
			o.kills[kind] += n
		}
		back.back = append(back.back, w.back...)
		wounds = errors.Join(wounds, w.err)
	}
	o.backMedian, o.backMost = back.recovery()
	o.tries = d.tries.Load()
	o.median, o.most = times(all)
	if wounds != nil {
		return o, fmt.Errorf("%s: something that was stopped did not come back: %w", p.name, wounds)
	}
	if o.verdict, err = judge(ctx, sides[0], sides[1], all, p.patience); err != nil {
		return o, err
	}
	if err := prove(ctx, p.program, p.folder, sides[0], sides[1], all, p.proofs); err != nil {
		o.verdict.other = append(o.verdict.other, err)
	}
	for _, s := range sides {
		if err := s.stop(); err != nil {
			o.verdict.other = append(o.verdict.other, err)
		}
		if err := check(ctx, s); err != nil {
			o.verdict.other = append(o.verdict.other, err)
		}
	}
	o.counts = result.Counts{Found: p.total, Fail: min(o.verdict.count(), p.total)}
	o.counts.Pass = p.total - o.counts.Fail
	return o, nil
}

// progress tells how far a play has come, and of each failure.
func (p play) progress(began time.Time) func(exchange) {
	var done, failed atomic.Int64
	return func(x exchange) {
		if x.err != nil {
			failed.Add(1)
			p.log("exchange %d failed: %v", x.n, x.err)
		}
		if n := done.Add(1); n == int64(p.total) || n%max(1, int64(p.total/10)) == 0 {
			p.log("%s: %d of %d, %d failed, %.0f s", p.name, n, p.total, failed.Load(), time.Since(began).Seconds())
		}
	}
}

// introduce opens the fronts, publishes a file at each side, and tells the sides
// of each other by one catalogue each.
func (p play) introduce(ctx context.Context, sides [2]*side) error {
	for i, s := range sides {
		node, err := s.replicas[0].api.Node(ctx)
		if err != nil {
			return err
		}
		s.did = node.DID
		u, err := url.Parse(node.Base)
		if err != nil {
			return err
		}
		var slow *slowness
		if p.slow {
			if i == 0 { // both fronts see what the second side takes and sends
				slow = newSlowness(newDice(p.seed, p.name+"slow"), "")
			} else if slow = sides[0].front.slow; slow != nil {
				slow.path = u.Path
			}
		}
		if s.front, err = newFront(u.Host, s, newDice(p.seed, p.name+"front of "+s.name), slow); err != nil {
			return err
		}
		s.front.calm.Store(true)
		file := filepath.Join(p.folder, s.name, "data", "files", "row.csv")
		if err := os.WriteFile(file, []byte("week,cases\n2026-W01,12\n"), 0o600); err != nil {
			return err
		}
		rules := fmt.Sprintf(`{"permission":[{"action":"use","constraint":[{"leftOperand":"purpose","operator":"eq","rightOperand":"research"},`+
			`{"leftOperand":"dateTime","operator":"lt","rightOperand":{"@value":%q,"@type":"xsd:dateTime"}}]}]}`, time.Now().Add(24*time.Hour).UTC().Format(time.RFC3339))
		set, err := s.replicas[0].api.PublishFile(ctx, client.PublishFile{Path: file, Title: s.name, Policy: strictjson.Raw(rules)})
		if err != nil {
			return err
		}
		s.dataset = set.ID
	}
	for i, s := range sides {
		if _, err := s.replicas[0].api.PartnerCatalog(ctx, sides[1-i].did); err != nil {
			return fmt.Errorf("%s reads the catalogue of the other: %w", s.name, err)
		}
	}
	for _, s := range sides {
		s.front.calm.Store(false)
	}
	return nil
}

// total adds what is counted by kind.
func total(of []map[string]int) map[string]int {
	all := map[string]int{}
	for _, m := range of {
		for k, n := range m {
			all[k] += n
		}
	}
	return maps.Clone(all)
}
