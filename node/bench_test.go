package node

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"kakehashi/client"
)

// BenchmarkExchange is a whole exchange between two nodes of this process, one
// at a time and 16 in flight: for profiles. The figures that count come from
// kakehashi bench.
func BenchmarkExchange(b *testing.B) {
	b.Run("1", func(b *testing.B) { benchmarkExchange(b, 1) })
	b.Run("16", func(b *testing.B) { benchmarkExchange(b, 16) })
}

func benchmarkExchange(b *testing.B, inFlight int) {
	tokyo, brussels := newPlace(b, "tokyo"), newPlace(b, "brussels")
	provider, consumer := tokyo.start(b, nil), brussels.start(b, nil)
	d := publish(b, tokyo, provider, []byte("week,cases\n2026-W01,12\n"))
	base := provider.participants.All()[0].Base
	c := consumer.client()
	c.HTTP = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for range inFlight {
		wg.Go(func() {
			for next.Add(1) <= int64(b.N) {
				if err := exchangeOnce(b, c, base, d.ID); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func exchangeOnce(b *testing.B, c *client.Client, base, dataset string) error {
	ctx := b.Context()
	n, err := c.Negotiate(ctx, client.StartNegotiation{Partner: base, Dataset: dataset})
	if err != nil {
		return err
	}
	if n, err = c.AwaitNegotiation(ctx, n.ID, "FINALIZED"); err != nil {
		return err
	}
	t, err := c.StartTransfer(ctx, client.StartTransfer{Agreement: n.Agreement})
	if err != nil {
		return err
	}
	if _, err = c.AwaitTransfer(ctx, t.ID, "STARTED"); err != nil {
		return err
	}
	access, err := c.Access(ctx, t.ID)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, access.Endpoint, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", access.Authorization)
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if _, err = c.Complete(ctx, t.ID, client.Completion{Bytes: 23}); err != nil {
		return err
	}
	_, err = c.AwaitTransfer(ctx, t.ID, "COMPLETED")
	return err
}
