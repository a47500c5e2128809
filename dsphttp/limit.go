package dsphttp

import (
	"sync"
	"time"

	"kakehashi/internal/fault"
	"kakehashi/internal/recent"
	"kakehashi/participant"
)

// pace bounds how fast one counterpart may send to one participant: a bucket that
// holds a second's worth.
type pace struct {
	rate    int // messages a second; 0 is no limit
	now     func() time.Time
	buckets *recent.Of[sender, *bucket]
}

type sender struct {
	p      participant.ID
	caller string
}

type bucket struct {
	mu   sync.Mutex
	left float64
	at   time.Time
}

// maxSenders bounds the buckets; one that is forgotten begins full.
const maxSenders = 10_000

func newPace(rate int, now func() time.Time) *pace {
	return &pace{rate: rate, now: now, buckets: recent.New[sender, *bucket](maxSenders)}
}

// take counts one message of an authenticated caller; fault.TooFast when it is
// one too many.
func (l *pace) take(p participant.ID, caller string) error {
	if l.rate == 0 {
		return nil
	}
	k, now := sender{p, caller}, l.now()
	b, ok := l.buckets.Get(k)
	if !ok {
		b = &bucket{left: float64(l.rate), at: now}
		l.buckets.Put(k, b)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left = min(float64(l.rate), b.left+now.Sub(b.at).Seconds()*float64(l.rate))
	b.at = now
	if b.left < 1 {
		return fault.TooFast.At("", "limit", l.rate)
	}
	b.left--
	return nil
}
