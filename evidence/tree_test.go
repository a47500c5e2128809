package evidence

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gowebpki/jcs"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/tlog"
)

// memory keeps tiles as the database does.
type memory map[[2]int64][]byte

func (m memory) load(level int, n int64) ([]byte, error) {
	if b, ok := m[[2]int64{int64(level), n}]; ok {
		return b, nil
	}
	return nil, errNoTile
}

func (m memory) grow(t testing.TB, tr tree, hashes []tlog.Hash) tree {
	t.Helper()
	next, tiles, err := tr.grow(hashes)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range tiles {
		m[[2]int64{int64(x.level), x.n}] = x.data
	}
	return next
}

// The vectors of RFC 6962 trees of 0 to 8 leaves, from the Certificate
// Transparency project (leaves: "", 00, 10, 2021, 3031, 40414243, 5051525354555657, 606162636465666768696a6b6c6d6e6f).
func TestRootsOfRFC6962(t *testing.T) {
	t.Parallel()
	leaves := []string{"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"}
	roots := []string{
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
		"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
		"aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
		"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
		"4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
		"76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
		"ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
		"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
	}
	m, tr := memory{}, emptyTree()
	for i, want := range roots {
		if got := hex.EncodeToString(tr.root[:]); got != want || tr.size != int64(i) {
			t.Errorf("root of %d leaves is %s, want %s", i, got, want)
		}
		if i < len(leaves) {
			b, err := hex.DecodeString(leaves[i])
			if err != nil {
				t.Fatal(err)
			}
			tr = m.grow(t, tr, []tlog.Hash{tlog.RecordHash(b)})
		}
	}
}

func randomHashes(n int, seed uint64) []tlog.Hash {
	r := rand.New(rand.NewPCG(seed, 1))
	out := make([]tlog.Hash, n)
	for i := range out {
		for j := range out[i] {
			out[i][j] = byte(r.Uint32())
		}
	}
	return out
}

// Trees grown in batches of any size are those of an independent implementation,
// and each proof from their tiles is accepted by it.
func TestProofsAgainstAnIndependentImplementation(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 2, 3, 255, 256, 257, 511, 1000, 2311} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			hashes := randomHashes(size, uint64(size))
			m, tr := memory{}, emptyTree()
			r := rand.New(rand.NewPCG(7, uint64(size)))
			type head struct {
				size int64
				root tlog.Hash
			}
			var heads []head
			for from := 0; from < size; {
				n := min(1+r.IntN(600), size-from)
				tr = m.grow(t, tr, hashes[from:from+n])
				heads = append(heads, head{tr.size, tr.root})
				from += n
			}
			read := newReader(m.load)
			for i := range int64(size) {
				p, err := tlog.ProveRecord(tr.size, i, read)
				if err != nil {
					t.Fatal(err)
				}
				path := make([][]byte, len(p))
				for k := range p {
					path[k] = p[k][:]
				}
				if err := proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(i), uint64(size), hashes[i][:], path, tr.root[:]); err != nil {
					t.Fatalf("leaf %d: %v", i, err)
				}
			}
			for _, h := range heads {
				p, err := tlog.ProveTree(tr.size, h.size, read)
				if err != nil {
					t.Fatal(err)
				}
				path := make([][]byte, len(p))
				for k := range p {
					path[k] = p[k][:]
				}
				if err := proof.VerifyConsistency(rfc6962.DefaultHasher, uint64(h.size), uint64(size), path, h.root[:], tr.root[:]); err != nil {
					t.Fatalf("from %d: %v", h.size, err)
				}
			}
		})
	}
}

// The layout that C2SP tlog-tiles gives as its examples.
func TestTileLayout(t *testing.T) {
	t.Parallel()
	if got := widths(256); !slices.Equal(got, []int{0, 1}) {
		t.Errorf("widths of 256: %v", got)
	}
	if got := widths(70_000); !slices.Equal(got, []int{112, 17, 1}) {
		t.Errorf("widths of 70,000: %v", got)
	}
	for size, want := range map[int]map[[2]int64]int{
		256:    {{0, 0}: 256, {1, 0}: 1},
		70_000: {{0, 0}: 256, {0, 272}: 256, {0, 273}: 112, {1, 0}: 256, {1, 1}: 17, {2, 0}: 1},
	} {
		m := memory{}
		tr := m.grow(t, emptyTree(), randomHashes(size, 3))
		for at, w := range want {
			if got := len(m[at]) / tlog.HashSize; got != w {
				t.Errorf("size %d: tile %v has %d hashes, want %d", size, at, got, w)
			}
		}
		tiles := 0
		for l, w := range widths(int64(size)) {
			tiles += size >> (8 * (l + 1))
			if w > 0 {
				tiles++
			}
		}
		if len(m) != tiles {
			t.Errorf("size %d: %d tiles, want %d", size, len(m), tiles)
		}
		if root, err := tlog.TreeHash(tr.size, newReader(m.load)); err != nil || root != tr.root {
			t.Errorf("size %d: root from tiles %v, %v", size, root, err)
		}
	}
}

func TestOrderKeepsVersionsWithinAProcess(t *testing.T) {
	t.Parallel()
	ws := []waiting{{"a", 3, "1", tlog.Hash{}}, {"b", 1, "2", tlog.Hash{}}, {"a", 1, "3", tlog.Hash{}}, {"", 0, "4", tlog.Hash{}}, {"a", 1, "5", tlog.Hash{}}, {"", 0, "6", tlog.Hash{}}}
	order(ws)
	got := ""
	for _, w := range ws {
		got += w.id
	}
	if got != "325416" {
		t.Errorf("order %s", got)
	}
}

// What encode writes is what an independent RFC 8785 implementation makes of it.
func FuzzEncode(f *testing.F) {
	f.Add("kh.x", "p", int64(3), "consumerPid", "urn:uuid:c", "a\"\\\b\t\n\f\r\x01\u2028é𝄞</>&")
	f.Add("t", "", int64(0), "a", "", "\x7f")
	f.Add("t", "x", int64(1<<53-1), "Z", "v", "\ufeff\U0010FFFF")
	f.Fuzz(func(t *testing.T, typ, process string, version int64, name, value, text string) {
		l := Leaf{Type: typ, Process: process, Version: version, Direction: Out, Counterparty: value, Actor: text,
			Correlation: map[string]string{name: text, "agreement": value}, Facts: map[string]string{"state": text, name: "", "A": value},
			Hashes: map[string]string{"message": Digest(nil), "policy": Digest([]byte("x"))}}
		at := config(t, nil).Now()
		b, err := encode(nil, &l, "0192", "did:web:a", at)
		if err != nil {
			return
		}
		want, err := jcs.Transform(b)
		if err != nil || !bytes.Equal(b, want) {
			t.Fatalf("not canonical:\n%s\n%s\n%v", b, want, err)
		}
		e, err := decode(b, 5)
		if err != nil {
			t.Fatal(err)
		}
		if e.Type != typ || e.Process != process || e.Version != version || e.Facts["A"] != l.Facts["A"] || e.Correlation["agreement"] != l.Correlation["agreement"] ||
			e.ID != "urn:uuid:0192" || !e.Time.Equal(at) || e.Position != 5 {
			t.Fatalf("read back as %+v", e)
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	l := sample(1)
	at := config(b, nil).Now()
	b.ReportAllocs()
	buf := make([]byte, 0, 1024)
	for b.Loop() {
		if _, err := encode(buf, &l, "0192f3a4-0000-7000-8000-000000000000", "did:web:a.example.jp", at); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkProveAndCheckAt1M(b *testing.B) {
	const n = 1_000_000
	m := memory{}
	hashes := randomHashes(n, 5)
	tr := m.grow(b, emptyTree(), hashes)
	read := newReader(m.load)
	for i := int64(0); i < n; i += 256 { // tiles cached
		if _, err := tlog.ProveRecord(n, i, read); err != nil {
			b.Fatal(err)
		}
	}
	i := int64(0)
	for b.Loop() {
		i = (i + 7919) % n
		p, err := tlog.ProveRecord(n, i, read)
		if err != nil {
			b.Fatal(err)
		}
		if err := tlog.CheckRecord(p, n, tr.root, i, hashes[i]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGrow(b *testing.B) {
	hashes := randomHashes(unitLeaves, 5)
	tr := emptyTree()
	for b.Loop() {
		next, _, err := tr.grow(hashes)
		if err != nil {
			b.Fatal(err)
		}
		tr = next
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*unitLeaves), "ns/leaf")
}
