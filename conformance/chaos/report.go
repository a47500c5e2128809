package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
)

// report is the table of a run, in Markdown.
func report(all []outcome, took time.Duration) string {
	var b strings.Builder
	b.WriteString("| pair | exchanges | lost | doubled | diverged | else | whole exchange p50 / max | exchanges/s | calls made again |\n|---|---|---|---|---|---|---|---|---|\n")
	var faults, kills []map[string]int
	for _, o := range all {
		fmt.Fprintf(&b, "| %s | %s | %d | %d | %d | %d | %s / %s | %.0f | %d |\n", o.pair, strings.TrimSpace(fmt.Sprint(o.counts.Found, " ", o.unit)), len(o.verdict.lost), len(o.verdict.doubled),
			len(o.verdict.diverged), len(o.verdict.other), short(o.median), short(o.most), float64(o.counts.Found)/o.took.Seconds(), o.tries)
		faults, kills = append(faults, o.faults), append(kills, o.kills)
	}
	b.WriteString("\n| faults |")
	for _, o := range all {
		fmt.Fprintf(&b, " %s |", o.pair)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(all)) + "\n")
	for _, of := range [][]map[string]int{faults, kills} {
		for _, kind := range slices.Sorted(maps.Keys(total(of))) {
			fmt.Fprintf(&b, "| %s |", kind)
			for _, m := range of {
				fmt.Fprintf(&b, " %d |", m[kind])
			}
			b.WriteString("\n")
		}
	}
	b.WriteString("| back after a kill, p50 / max |")
	for _, o := range all {
		fmt.Fprintf(&b, " %s / %s |", short(o.backMedian), short(o.backMost))
	}
	if len(all) > 0 {
		fmt.Fprintf(&b, "\n\nSEED=%d, %s in all.\n", all[0].seed, took.Round(time.Second))
	}
	return b.String()
}

func short(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// Marks of the report in docs/reliability.md.
const (
	from = "<!-- report of make chaos -->\n"
	to   = "<!-- end of the report -->\n"
)

// write puts the report between its marks.
func write(path, text string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(b), from)
	_, after, there := strings.Cut(rest, to)
	if !ok || !there {
		return fmt.Errorf("%s does not hold the marks of the report", path)
	}
	return os.WriteFile(path, []byte(before+from+text+to+after), 0o644)
}
