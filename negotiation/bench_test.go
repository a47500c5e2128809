package negotiation

import "testing"

// BenchmarkNegotiation is both sides from Start to FINALIZED, with stores, logs
// and outboxes, without HTTP and signatures.
func BenchmarkNegotiation(b *testing.B) {
	w := newWorld(b)
	b.ResetTimer()
	for range b.N {
		w.both(w.start(), Finalized)
		w.mu.Lock()
		w.sent = w.sent[:0]
		w.mu.Unlock()
	}
}
