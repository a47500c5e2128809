package bound

import (
	"net/netip"
	"sync"
	"time"

	"kakehashi/internal/fault"
	"kakehashi/internal/recent"
)

// Pace bounds how fast each sender may send: a bucket that holds a second's
// worth. It is safe for concurrent use.
type Pace[K comparable] struct {
	rate    int // requests a second; 0 is no limit
	kind    *fault.Kind
	now     func() time.Time
	buckets *recent.Of[K, *bucket]
}

type bucket struct {
	mu   sync.Mutex
	left float64
	at   time.Time
	told time.Time // when the log was last told
}

// maxSenders bounds the buckets; one that is forgotten begins full.
const maxSenders = 10_000

// tellEvery is how often the log hears that one sender is too fast.
const tellEvery = time.Minute

// NewPace makes a pace of rate requests a second, 0 for no limit; one too many is
// a fault of kind.
func NewPace[K comparable](rate int, kind *fault.Kind, now func() time.Time) *Pace[K] {
	return &Pace[K]{rate: rate, kind: kind, now: now, buckets: recent.New[K, *bucket](maxSenders)}
}

// Take counts one request; the error, a fault of the pace's kind, is for one too
// many. tell says that nobody was told of this sender for a minute.
func (l *Pace[K]) Take(k K) (tell bool, err error) {
	if l.rate == 0 {
		return false, nil
	}
	now := l.now()
	b, ok := l.buckets.Get(k)
	if !ok {
		b = l.buckets.GetOrPut(k, &bucket{left: float64(l.rate), at: now})
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if past := now.Sub(b.at); past > 0 {
		b.left, b.at = min(float64(l.rate), b.left+past.Seconds()*float64(l.rate)), now
	}
	if b.left >= 1 {
		b.left--
		return false, nil
	}
	if tell = b.told.IsZero() || now.Sub(b.told) >= tellEvery; tell {
		b.told = now
	}
	return tell, l.kind.At("", "limit", l.rate)
}

// From is whom the address of a connection belongs to: of IPv6 one network of 64
// bits is one sender, for its owner has all of its addresses.
func From(remote string) netip.Prefix {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{}
	}
	a := at.Addr().Unmap().WithZone("")
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}
