package node

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kakehashi/catalog"
	"kakehashi/client"
	"kakehashi/internal/strictjson"
	"kakehashi/policy"
	"kakehashi/store"
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

// BenchmarkCatalogue asks for the first 100 of 10,000 datasets, and for all of
// them, from node to node: signed requests, evidence, compressed pages. The
// consumer's side and both sides' signatures are in the figure.
func BenchmarkCatalogue(b *testing.B) {
	const all = 10_000
	tokyo, brussels := newPlace(b, "tokyo"), newPlace(b, "brussels")
	provider, consumer := tokyo.start(b, nil), brussels.start(b, nil)
	room := catalog.Open(catalog.Config{DB: provider.db, Policy: policy.New(policy.Config{Now: time.Now}), Evidence: provider.evidence, Now: time.Now})
	for i := 0; i < all; i += 500 {
		err := provider.db.Update(b.Context(), func(tx store.Tx) error {
			for j := i; j < i+500; j++ {
				_, err := room.Publish(tx, "tokyo", catalog.Dataset{ID: fmt.Sprintf("urn:x:%05d", j), Title: fmt.Sprintf("Dataset %d", j), Description: "counts of a week",
					Service: "files", Formats: []string{catalog.HTTPPull}, Offers: []catalog.Offer{{Policy: strictjson.Raw(terms(time.Now()))}}})
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	c, who := consumer.client(), provider.participants.All()[0].DID
	count := func(q client.CatalogQuery) (n int) {
		err := c.CatalogParts(b.Context(), who, q, func(p client.PartnerCatalog) bool {
			n += len(p.Datasets)
			return q.Limit == 0
		})
		if err != nil {
			b.Fatal(err)
		}
		return n
	}
	for _, x := range []struct {
		name string
		q    client.CatalogQuery
		want int
	}{
		{"first 100", client.CatalogQuery{Limit: 100}, 100},
		{"one by title", client.CatalogQuery{Limit: 100, Filter: []string{"title=Dataset 7777"}}, 1},
		{"one by id", client.CatalogQuery{Limit: 100, Filter: []string{"id=urn:x:07777"}}, 1},
		{"all", client.CatalogQuery{}, all},
	} {
		b.Run(x.name, func(b *testing.B) {
			for b.Loop() {
				if n := count(x.q); n != x.want {
					b.Fatalf("%d datasets", n)
				}
			}
		})
	}
}

// BenchmarkNegotiationWithCredentials is a whole negotiation, through the API and
// with authentication, policy and evidence, whose terms ask for a credential. Warm,
// the consumer showed it before; cold, it is asked, and what it shows is verified,
// for each. Both sides run on this machine.
func BenchmarkNegotiationWithCredentials(b *testing.B) {
	for name, fresh := range map[string]time.Duration{"warm": 5 * time.Minute, "cold": 0} {
		b.Run(name, func(b *testing.B) {
			a := newAllianceThat(b, func(p *place) { p.settings.TrustFresh, p.settings.TrustRefresh = fresh, time.Minute })
			a.accredit(b)
			c := a.munich.client()
			if _, err := c.ShareCredentials(b.Context(), client.WalletShare{Type: "Accreditation"}); err != nil {
				b.Fatal(err)
			}
			if _, err := a.negotiate(b); err != nil {
				b.Fatal(err)
			}
			var took []time.Duration
			for b.Loop() {
				began := time.Now()
				if _, err := a.negotiate(b); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(began))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1000, "p95-ms")
		})
	}
}
