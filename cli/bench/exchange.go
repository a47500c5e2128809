package bench

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"kakehashi/cli"
	"kakehashi/client"
	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
)

// exchange measures whole exchanges: a new negotiation, transfer to STARTED,
// first byte, COMPLETED on both sides.
type exchange struct {
	Exchanges int    `default:"500"`
	InFlight  string `default:"1,4,16,64" placeholder:"N,N"`
	Store     string `placeholder:"URL"`
	Replicas  int    `default:"1"`
	Kept      int    `default:"0"`
	Compare   bool
	Rounds    int `default:"3"`
}

// percentiles of a row, in milliseconds.
type percentiles struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
}

// row is what was measured with so many exchanges in flight.
type row struct {
	InFlight     int         `json:"in_flight"`
	ToFinalized  percentiles `json:"to_finalized_ms"`
	ToFirstByte  percentiles `json:"to_first_byte_ms"`
	ExchangesPer float64     `json:"exchanges_per_s"`
	Failed       int         `json:"failed"`
	NodesCPU     float64     `json:"nodes_cpu_ms_per_exchange"`
	DriverCPU    float64     `json:"driver_cpu_ms_per_exchange"`
}

// result is the one object that --json prints: the figures of one at a time,
// the best rate, and every row.
type result struct {
	ToFinalized percentiles `json:"to_finalized_ms"`
	ToFirstByte percentiles `json:"to_first_byte_ms"`
	PerSecond   float64     `json:"exchanges_per_s"`
	InFlight    int         `json:"in_flight"` // at which the rate was reached
	Failed      int         `json:"failed"`
	StartMS     float64     `json:"start_ms"`
	IdleRSS     float64     `json:"idle_rss_mib"`
	PeakRSS     float64     `json:"peak_rss_mib"`
	Bytes       int64       `json:"bytes_per_exchange"` // on both nodes' disks together
	Rows        []row       `json:"rows"`
}

func (x exchange) Run(ctx context.Context, c *cli.Context) (err error) {
	levels, err := x.levels()
	if err != nil {
		return err
	}
	if x.Replicas < 1 || x.Replicas > 16 || x.Replicas > 1 && x.Store == "" {
		return fault.BadUsage.At("--replicas", "command", "kakehashi bench exchange", "reason", strconv.Itoa(x.Replicas))
	}
	dir, err := os.MkdirTemp("", "kakehashi-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := c.Say(c.Text.T("bench.defaults", "exchanges", x.Exchanges)); err != nil {
		return err
	}
	if x.Compare {
		return x.compare(ctx, c, dir, levels)
	}
	p, err := newPair(ctx, c, dir, x.Store, x.Replicas, x.Kept)
	if err != nil {
		return err
	}
	defer func() { err = first(err, p.stop()) }()
	res := result{StartMS: ms(p.started()), IdleRSS: p.idle}
	before, err := p.disk()
	if err != nil {
		return err
	}
	for _, n := range levels {
		r, err := p.level(ctx, n, x.Exchanges)
		if err != nil {
			return err
		}
		res.Rows = append(res.Rows, r)
		if err := r.say(c); err != nil {
			return err
		}
	}
	after, err := p.disk()
	if err != nil {
		return err
	}
	res.Bytes = (after - before) / int64(x.Exchanges*len(levels))
	for _, s := range []*side{p.provider, p.consumer} {
		_, peak := s.memory()
		res.PeakRSS = max(res.PeakRSS, peak)
	}
	res.ToFinalized, res.ToFirstByte = res.Rows[0].ToFinalized, res.Rows[0].ToFirstByte
	for _, r := range res.Rows {
		res.Failed += r.Failed
		if r.ExchangesPer > res.PerSecond {
			res.PerSecond, res.InFlight = r.ExchangesPer, r.InFlight
		}
	}
	if err := c.Emit(res); err != nil {
		return err
	}
	return c.Say(c.Text.T("bench.summary", "start", show(res.StartMS), "idle", show(res.IdleRSS), "peak", show(res.PeakRSS), "bytes", cli.Bytes(res.Bytes)))
}

func (r row) say(c *cli.Context) error {
	return c.Say(c.Text.T("bench.row", "in_flight", r.InFlight, "p50", show(r.ToFinalized.P50), "p95", show(r.ToFinalized.P95),
		"p99", show(r.ToFinalized.P99), "first", show(r.ToFirstByte.P50), "rate", show(r.ExchangesPer), "failed", r.Failed,
		"nodes", show(r.NodesCPU), "driver", show(r.DriverCPU)))
}

func (x exchange) levels() ([]int, error) {
	var out []int
	for _, s := range strings.Split(x.InFlight, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(s))
		if err != nil || n < 1 || n > 1024 {
			return nil, fault.BadUsage.At("--in-flight", "command", "kakehashi bench exchange", "reason", strconv.Quote(s))
		}
		out = append(out, n)
	}
	if x.Exchanges < 1 {
		return nil, fault.BadUsage.At("--exchanges", "command", "kakehashi bench exchange", "reason", strconv.Itoa(x.Exchanges))
	}
	return out, nil
}

// driver makes exchanges and hears of their states on both nodes' event streams.
type driver struct {
	provider, consumer *side
	idle               float64 // MiB of the larger node before the first exchange
	data               *http.Client
	base, dataset      string
	end                context.CancelFunc

	mu    sync.Mutex
	seen  map[string]time.Time // "id state" -> when it was heard
	wants map[string]chan time.Time
}

// seedFrom is how many exchanges are made to be repeated in the tables.
const seedFrom = 1000

// newPair starts two sides and brings kept finished processes into the tables of
// both.
func newPair(ctx context.Context, c *cli.Context, dir, server string, replicas, kept int) (_ *driver, err error) {
	d := &driver{data: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}}, end: func() {}}
	defer func() {
		if err != nil {
			err = first(err, d.stop())
		}
	}()
	if d.provider, err = newSide(ctx, c, dir, "tokyo", server); err != nil {
		return nil, err
	}
	if d.consumer, err = newSide(ctx, c, dir, "brussels", server); err != nil {
		return nil, err
	}
	for _, s := range []*side{d.provider, d.consumer} {
		if err := s.start(ctx, replicas); err != nil {
			return nil, err
		}
	}
	if err := d.prepare(ctx); err != nil {
		return nil, err
	}
	if kept > 0 {
		made, err := d.level(ctx, 16, min(seedFrom, max(1, kept/2)))
		if err != nil {
			return nil, err
		}
		if made.Failed > 0 { // what is repeated has to be finished
			return nil, fault.BenchFailed.At("seed", "reason", fmt.Sprint(made.Failed, " exchanges failed"))
		}
		d.end()
		for _, s := range []*side{d.provider, d.consumer} {
			if err := s.halt(); err != nil {
				return nil, err
			}
			if err := s.seed(ctx, kept); err != nil {
				return nil, err
			}
			if err := s.start(ctx, replicas); err != nil {
				return nil, err
			}
		}
		if err := d.listen(ctx); err != nil {
			return nil, err
		}
	}
	for _, s := range []*side{d.provider, d.consumer} {
		now, _ := s.memory()
		d.idle = max(d.idle, now)
	}
	return d, nil
}

// stop ends both sides.
func (d *driver) stop() error {
	d.end()
	var err error
	for _, s := range []*side{d.provider, d.consumer} {
		if s != nil {
			err = first(err, s.stop())
		}
	}
	return err
}

func (d *driver) started() time.Duration { return max(d.provider.started(), d.consumer.started()) }

func (d *driver) prepare(ctx context.Context) error {
	n, err := d.provider.Node(ctx)
	if err != nil {
		return err
	}
	d.base = n.Base
	file := filepath.Join(d.provider.data(), "files", "row.csv")
	if err := os.WriteFile(file, []byte("week,cases\n2026-W01,12\n"), 0o600); err != nil {
		return err
	}
	// The terms are what a person would write: a purpose and an expiry.
	rules := fmt.Sprintf(`{"permission":[{"action":"use","constraint":[{"leftOperand":"purpose","operator":"eq","rightOperand":"bench"},`+
		`{"leftOperand":"dateTime","operator":"lt","rightOperand":{"@value":%q,"@type":"xsd:dateTime"}}]}]}`, time.Now().Add(24*time.Hour).UTC().Format(time.RFC3339))
	set, err := d.provider.PublishFile(ctx, client.PublishFile{Path: file, Title: "row", Policy: strictjson.Raw(rules)})
	if err != nil {
		return err
	}
	d.dataset = set.ID
	return d.listen(ctx)
}

// listen follows the event streams of both sides until end.
func (d *driver) listen(ctx context.Context) error {
	d.seen, d.wants = map[string]time.Time{}, map[string]chan time.Time{}
	ctx, d.end = context.WithCancel(ctx)
	for _, p := range []*side{d.provider, d.consumer} {
		ready := make(chan struct{})
		failed := make(chan error, 1)
		go func() {
			failed <- p.Events(ctx, func() { close(ready) }, func(e client.Event) bool { d.heard(e); return true })
		}()
		select {
		case <-ready:
		case err := <-failed:
			return err
		}
	}
	return nil
}

func (d *driver) heard(e client.Event) {
	now := time.Now()
	k := e.ID + " " + e.State
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen[k] = now
	if ch, ok := d.wants[k]; ok {
		delete(d.wants, k)
		ch <- now
	}
}

// await returns when a state of a process was heard of.
func (d *driver) await(ctx context.Context, id, state string) (time.Time, error) {
	k := id + " " + state
	d.mu.Lock()
	if at, ok := d.seen[k]; ok {
		d.mu.Unlock()
		return at, nil
	}
	ch := make(chan time.Time, 1)
	d.wants[k] = ch
	d.mu.Unlock()
	select {
	case at := <-ch:
		return at, nil
	case <-ctx.Done():
		return time.Time{}, fmt.Errorf("%s never reached %s: %w", id, state, ctx.Err())
	}
}

// once makes one whole exchange.
func (d *driver) once(ctx context.Context) (finalized, firstByte time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	begin := time.Now()
	n, err := d.consumer.Negotiate(ctx, client.StartNegotiation{Partner: d.base, Dataset: d.dataset})
	if err != nil {
		return 0, 0, err
	}
	ours, err := d.await(ctx, n.ID, "FINALIZED")
	if err != nil {
		return 0, 0, err
	}
	if n, err = d.consumer.Negotiation(ctx, n.ID, 0); err != nil {
		return 0, 0, err
	}
	theirs, err := d.await(ctx, n.PeerID, "FINALIZED")
	if err != nil {
		return 0, 0, err
	}
	finalized = max(ours.Sub(begin), theirs.Sub(begin))
	t, err := d.consumer.StartTransfer(ctx, client.StartTransfer{Agreement: n.Agreement})
	if err != nil {
		return 0, 0, err
	}
	if _, err = d.await(ctx, t.ID, "STARTED"); err != nil {
		return 0, 0, err
	}
	access, err := d.consumer.Access(ctx, t.ID)
	if err != nil {
		return 0, 0, err
	}
	bytes, at, err := d.fetch(ctx, access)
	if err != nil {
		return 0, 0, err
	}
	firstByte = at.Sub(begin)
	if t, err = d.consumer.Complete(ctx, t.ID, client.Completion{Bytes: bytes}); err != nil {
		return 0, 0, err
	}
	if _, err = d.await(ctx, t.ID, "COMPLETED"); err != nil {
		return 0, 0, err
	}
	_, err = d.await(ctx, t.PeerID, "COMPLETED")
	return finalized, firstByte, err
}

func (d *driver) fetch(ctx context.Context, a client.Access) (n int64, first time.Time, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.Endpoint, nil)
	if err != nil {
		return 0, first, err
	}
	req.Header.Set("Authorization", a.Authorization)
	resp, err := d.data.Do(req)
	if err != nil {
		return 0, first, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return 0, first, fmt.Errorf("the data answers %s", resp.Status)
	}
	one := make([]byte, 1)
	if _, err := io.ReadFull(resp.Body, one); err != nil {
		return 0, first, err
	}
	first = time.Now()
	n, err = io.Copy(io.Discard, resp.Body)
	return n + 1, first, err
}

// level makes total exchanges with n in flight.
func (d *driver) level(ctx context.Context, n, total int) (row, error) {
	var mu sync.Mutex
	var finalized, firstByte []time.Duration
	var failed, next atomic.Int64
	var why error
	nodes, own := d.provider.cpu()+d.consumer.cpu(), ownCPU()
	begin := time.Now()
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			for next.Add(1) <= int64(total) && ctx.Err() == nil {
				f, b, err := d.once(ctx)
				mu.Lock()
				if err != nil {
					failed.Add(1)
					why = err
				} else {
					finalized, firstByte = append(finalized, f), append(firstByte, b)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	took := time.Since(begin)
	if ctx.Err() != nil {
		return row{}, context.Cause(ctx)
	}
	if len(finalized) == 0 {
		return row{}, fault.BenchFailed.At("exchange", "reason", fmt.Sprint(why)).Because(why)
	}
	d.mu.Lock()
	clear(d.seen)
	d.mu.Unlock()
	per := float64(total)
	return row{InFlight: n, ToFinalized: spread(finalized), ToFirstByte: spread(firstByte), Failed: int(failed.Load()),
		ExchangesPer: float64(len(finalized)) / took.Seconds(),
		NodesCPU:     ms(d.provider.cpu()+d.consumer.cpu()-nodes) / per, DriverCPU: ms(ownCPU()-own) / per}, nil
}

func (d *driver) disk() (int64, error) {
	a, err := d.provider.disk()
	if err != nil {
		return 0, err
	}
	b, err := d.consumer.disk()
	return a + b, err
}

func spread(all []time.Duration) percentiles {
	slices.Sort(all)
	at := func(q float64) float64 { return ms(all[min(int(q*float64(len(all))), len(all)-1)]) }
	return percentiles{at(0.50), at(0.95), at(0.99)}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func show(v float64) string { return strconv.FormatFloat(v, 'f', 1, 64) }

func first(a, b error) error {
	if a != nil {
		return a
	}
	return b
}
