package bench

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"kakehashi/cli"
	"kakehashi/internal/fault"
)

// variant is one way to run both sides.
type variant struct {
	name     string
	store    string
	replicas int
	kept     int
	pair     *driver
	rows     map[int][]row // by exchanges in flight: one of each round
}

// variants are what is compared: the stores, or with kept how one grows.
func (x exchange) variants() []variant {
	if x.Kept > 0 {
		few, many := fmt.Sprint(fewKept, " kept"), fmt.Sprint(x.Kept, " kept")
		all := []variant{{name: "SQLite, " + few, replicas: 1, kept: fewKept}, {name: "SQLite, " + many, replicas: 1, kept: x.Kept}}
		if x.Store != "" {
			all = append(all, variant{name: "PostgreSQL, " + few, store: x.Store, replicas: 1, kept: fewKept},
				variant{name: "PostgreSQL, " + many, store: x.Store, replicas: 1, kept: x.Kept})
		}
		return all
	}
	return []variant{{name: "SQLite", replicas: 1}, {name: "PostgreSQL, 1 replica", store: x.Store, replicas: 1},
		{name: "PostgreSQL, 3 replicas", store: x.Store, replicas: 3}}
}

// fewKept is the baseline of --kept.
const fewKept = 1000

// compare measures all variants in turn, round by round, and prints the medians as
// a table in Markdown, each beside the first.
func (x exchange) compare(ctx context.Context, c *cli.Context, dir string, levels []int) (err error) {
	if x.Store == "" && x.Kept == 0 || x.Rounds < 1 {
		return fault.BadUsage.At("--compare", "command", "kakehashi bench exchange", "reason", "--store, --rounds")
	}
	all := x.variants()
	for i := range all {
		v := &all[i]
		v.rows = map[int][]row{}
		if v.pair, err = newPair(ctx, c, filepath.Join(dir, strconv.Itoa(i)), v.store, v.replicas, v.kept); err != nil {
			return err
		}
		defer func() { err = first(err, v.pair.stop()) }()
		if _, err := v.pair.level(ctx, 4, 50); err != nil { // caches and connections
			return err
		}
	}
	for range x.Rounds {
		for _, n := range levels {
			for i := range all {
				r, err := all[i].pair.level(ctx, n, x.Exchanges)
				if err != nil {
					return err
				}
				all[i].rows[n] = append(all[i].rows[n], r)
			}
		}
	}
	var b strings.Builder
	b.WriteString("| | in flight | request to FINALIZED p50 / p95 ms | exchanges/s | to the first | failed | CPU of the nodes, ms an exchange | of the driver |\n|---|---|---|---|---|---|---|---|\n")
	for _, n := range levels {
		base := median(all[0].rows[n], func(r row) float64 { return r.ExchangesPer })
		for _, v := range all {
			rows := v.rows[n]
			rate := median(rows, func(r row) float64 { return r.ExchangesPer })
			failed := 0
			for _, r := range rows {
				failed += r.Failed
			}
			fmt.Fprintf(&b, "| %s | %d | %s / %s | %s | %.2f | %d | %s | %s |\n", v.name, n,
				show(median(rows, func(r row) float64 { return r.ToFinalized.P50 })), show(median(rows, func(r row) float64 { return r.ToFinalized.P95 })),
				show(rate), rate/base, failed, show(median(rows, func(r row) float64 { return r.NodesCPU })),
				show(median(rows, func(r row) float64 { return r.DriverCPU })))
		}
	}
	b.WriteString("\n| | start to first answer ms | one program at rest MiB |\n|---|---|---|\n")
	for _, v := range all {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", v.name, show(ms(v.pair.started())), show(v.pair.idle))
	}
	return c.Say(b.String())
}

func median(rows []row, of func(row) float64) float64 {
	sorted := slices.SortedFunc(slices.Values(rows), func(a, b row) int { return cmp.Compare(of(a), of(b)) })
	return of(sorted[len(sorted)/2])
}
