package config

import (
	"strconv"
	"strings"
	"time"
)

var sizes = []struct {
	name string
	n    int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"", 1}}

// parseSize reads bytes: a whole number, alone or with KiB, MiB or GiB. KB and
// MB are refused: nobody can tell which of two meanings they have.
func parseSize(s string) (Size, bool) {
	for _, u := range sizes {
		digits, ok := strings.CutSuffix(s, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimSuffix(digits, " "), 10, 31)
		return Size(int64(n) * u.n), err == nil
	}
	return 0, false
}

func formatSize(n Size) string {
	for _, u := range sizes {
		if n != 0 && int64(n)%u.n == 0 {
			return strconv.FormatInt(int64(n)/u.n, 10) + u.name
		}
	}
	return "0"
}

const day = 24 * time.Hour

// parseDuration reads what time.ParseDuration reads, and whole days: 90d. A
// number without a unit is refused.
func parseDuration(s string) (time.Duration, bool) {
	if digits, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(digits, 10, 31)
		if err != nil || n > uint64(time.Duration(1<<63-1)/day) {
			return 0, false
		}
		return time.Duration(n) * day, true
	}
	d, err := time.ParseDuration(s)
	return d, err == nil && d >= 0 && s != "0"
}

func formatDuration(d time.Duration) string {
	for _, u := range []struct {
		name string
		n    time.Duration
	}{{"d", day}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}, {"ms", time.Millisecond}} {
		if d != 0 && d%u.n == 0 && (u.n != day || d > 2*day) {
			return strconv.FormatInt(int64(d/u.n), 10) + u.name
		}
	}
	return d.String()
}
