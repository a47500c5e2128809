package bundle

import (
	"archive/zip"
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestVerdicts(t *testing.T) {
	t.Parallel()
	a, b := exchange(t)
	good := a.files(t)
	both := a.anchors(t) + b.anchors(t)
	with := func(change func(f map[string][]byte)) []byte {
		f := maps.Clone(good)
		change(f)
		return pack(t, f)
	}
	message := BodyName(Digest([]byte(`{"@type":"ContractRequestMessage"}`)))

	resigned := *a // the same leaves, the same name, all keys replaced
	_, resigned.log, _ = ed25519.GenerateKey(rand.Reader)

	impostor := newSide(t, "evil.example") // an anchored log that speaks for somebody else
	impostor.did, impostor.man.Tenant = a.did, a.did
	impostor.append(Leaf{Type: "kh.admin.action"})

	withheld := *a
	withheld.man.Withheld = []Withheld{{Digest([]byte(`{"@type":"ContractRequestMessage"}`)), "secret"}}
	withheldFiles := withheld.files(t)
	delete(withheldFiles, message)

	for _, c := range []struct {
		name  string
		file  []byte
		trust string
		want  Verdict
		code  string // of a finding that must be there
	}{
		{"whole", pack(t, good), both, Verified, ""},
		{"only the log anchored", pack(t, good), a.anchors(t), Verified, "sender-not-anchored"},
		{"no anchors", pack(t, good), "", Consistent, "log-not-anchored"},
		{"only the counterpart anchored", pack(t, good), b.anchors(t), Consistent, "log-not-anchored"},
		{"re-signed with another key", pack(t, resigned.files(t)), both, Invalid, "log-key-other"},
		{"the log of another", pack(t, impostor.files(t)), "log " + impostor.vkey() + " did:web:evil.example\n", Invalid, "log-of-another"},
		{"a log that nobody named", pack(t, impostor.files(t)), "log " + impostor.vkey() + "\n", Consistent, "log-owner-unknown"},
		{"a body gone", with(func(f map[string][]byte) { delete(f, message) }), both, Incomplete, "body-missing"},
		{"a body kept back", pack(t, withheldFiles), both, Verified, "withheld"},
		{"a body changed", with(func(f map[string][]byte) { f[message] = []byte("{}") }), both, Invalid, "body-digest"},
		{"a surplus body", with(func(f map[string][]byte) { f[BodyName(Digest([]byte("x")))] = []byte("x") }), both, Invalid, "file-surplus"},
		{"a surplus key", with(func(f map[string][]byte) { f["keys/did.json"] = []byte("{}") }), both, Invalid, "file-surplus"},
		{"a surplus name", with(func(f map[string][]byte) { f["virus.exe"] = nil }), both, Invalid, "not-a-bundle"},
		{"a path out", with(func(f map[string][]byte) { f["keys/../x"] = nil }), both, Invalid, "not-a-bundle"},
		{"an event gone", with(func(f map[string][]byte) { delete(f, EventName(1)) }), both, Invalid, "proofs-surplus"},
		{"a proof gone", with(func(f map[string][]byte) { delete(f, ProofName(1)) }), both, Invalid, "file-absent"},
		{"a key gone", with(func(f map[string][]byte) { delete(f, LogKeyName) }), both, Invalid, "file-absent"},
		{"the manifest gone", with(func(f map[string][]byte) { delete(f, ManifestName) }), both, Invalid, "file-absent"},
		{"an event changed", with(func(f map[string][]byte) {
			f[EventName(1)] = bytes.Replace(f[EventName(1)], []byte("agreed"), []byte("denied"), 1)
		}), both, Invalid, "not-in-log"},
		{"an event not canonical", with(func(f map[string][]byte) {
			f[EventName(1)] = append(bytes.Clone(f[EventName(1)]), ' ')
		}), both, Invalid, "event"},
		{"events swapped", with(func(f map[string][]byte) {
			f[EventName(0)], f[EventName(1)] = f[EventName(1)], f[EventName(0)]
		}), both, Invalid, "not-in-log"},
		{"another agreement claimed", with(func(f map[string][]byte) {
			f[ManifestName] = bytes.Replace(f[ManifestName], []byte("tokyo"), []byte("kyoto"), 1)
		}), both, Invalid, ""},
		{"no zip", []byte("PK"), both, Invalid, "not-a-bundle"},
		{"empty", nil, both, Invalid, "not-a-bundle"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := verify(t, c.file, trust(t, c.trust))
			all := slices.Concat(r.Problems, r.Missing, r.Notes)
			if r.Verdict != c.want {
				t.Errorf("verdict %s, want %s: %v", r.Verdict, c.want, all)
			}
			if c.code != "" && !slices.ContainsFunc(all, func(f Finding) bool { return f.Code == c.code }) {
				t.Errorf("no %s among %v", c.code, all)
			}
			for _, lang := range []string{"en", "ja"} {
				var b bytes.Buffer
				if err := r.Write(&b, lang); err != nil || !strings.Contains(b.String(), verdicts[c.want].In(lang)) {
					t.Errorf("%s report lacks the verdict: %s", lang, &b)
				}
				if strings.Contains(b.String(), "{") {
					t.Errorf("%s report has an unfilled name: %s", lang, &b)
				}
			}
		})
	}
}

func TestSenders(t *testing.T) {
	t.Parallel()
	a, b := newSide(t, "tokyo.example.jp"), newSide(t, "brussels.example.eu")
	other := newSide(t, "other.example")
	d := Digest([]byte("m"))
	flipped := b.jws(fmt.Sprintf(`{"iss":%q,"aud":%q,"digest":%q}`, b.did, a.did, d))
	if i := len(flipped) - 9; flipped[i] == 'A' {
		flipped[i] = 'B'
	} else {
		flipped[i] = 'A'
	}
	for _, c := range []struct {
		name    string
		token   []byte
		want    Sender
		verdict Verdict
	}{
		{"signed", b.jws(fmt.Sprintf(`{"iss":%q,"aud":[%q],"digest":%q}`, b.did, a.did, d)), SenderSigned, Verified},
		{"no token", nil, SenderUnproven, Verified},
		{"no digest in it", b.jws(fmt.Sprintf(`{"iss":%q,"aud":%q}`, b.did, a.did)), SenderUnsigned, Verified},
		{"opaque", []byte("opaque"), SenderUnsigned, Verified},
		{"for another recipient", b.jws(fmt.Sprintf(`{"iss":%q,"aud":%q,"digest":%q}`, b.did, other.did, d)), SenderUnsigned, Verified},
		{"of another", other.jws(fmt.Sprintf(`{"iss":%q,"aud":%q,"digest":%q}`, other.did, a.did, d)), SenderUnsigned, Verified},
		{"another digest", b.jws(fmt.Sprintf(`{"iss":%q,"aud":%q,"digest":%q}`, b.did, a.did, Digest(nil))), "", Invalid},
		{"signed by another in its name", other.jws(fmt.Sprintf(`{"iss":%q,"aud":%q,"digest":%q}`, b.did, a.did, d)), SenderNotAnchored, Verified},
		{"signature changed", flipped, "", Invalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := *a
			s.leaves, s.bodies = nil, map[string][]byte{}
			l := Leaf{Type: "kh.negotiation.requested", Direction: "in", Counterparty: b.did, Hashes: map[string]string{"message": s.keep([]byte("m"))}}
			if c.token != nil {
				l.Hashes["token"] = s.keep(c.token)
			}
			s.append(l)
			r := verify(t, pack(t, s.files(t)), trust(t, a.anchors(t), b.anchors(t), other.anchors(t)))
			if r.Verdict != c.verdict || r.Events[0].Sender != c.want {
				t.Errorf("%s, sender %q (%s), want %s, %q: %v", r.Verdict, r.Events[0].Sender, r.Events[0].Detail, c.verdict, c.want, r.Problems)
			}
		})
	}
}

// A bundle of which one bit was changed, one in each of its bytes, is never Verified.
func TestFlippedBitsAreSeen(t *testing.T) {
	t.Parallel()
	a, b := exchange(t)
	file := pack(t, a.files(t))
	tr := trust(t, a.anchors(t), b.anchors(t))
	if v := verify(t, file, tr).Verdict; v != Verified {
		t.Fatalf("untouched bundle is %s", v)
	}
	for i := range file {
		bit := byte(1) << (i % 8)
		file[i] ^= bit
		if v := verify(t, file, tr).Verdict; v == Verified {
			t.Fatalf("bit %d of byte %d flipped and still verified", i%8, i)
		}
		file[i] ^= bit
	}
	for n := 0; n < len(file); n += 7 {
		if v := verify(t, file[:n], tr).Verdict; v == Verified {
			t.Fatalf("cut at %d and still verified", n)
		}
	}
	if v := verify(t, append(bytes.Clone(file), 0), tr).Verdict; v == Verified {
		t.Fatal("a byte was added and it is still verified")
	}
}

// Bits changed inside the files, with the archive made anew so that its check
// sums fit: the proofs themselves have to notice.
func TestFlippedBitsAreSeenWithoutCheckSums(t *testing.T) {
	t.Parallel()
	a, b := exchange(t)
	files := a.files(t)
	tr := trust(t, a.anchors(t), b.anchors(t))
	for name, content := range files {
		if name == ReadmeName || name == ManifestName {
			continue // what they say is not proven, and the report does not claim it
		}
		for bit := 0; bit < 8*len(content); bit += 7 {
			changed := bytes.Clone(content)
			changed[bit/8] ^= 1 << (bit % 8)
			f := maps.Clone(files)
			f[name] = changed
			if v := verify(t, pack(t, f), tr).Verdict; v == Verified {
				t.Fatalf("%s: bit %d of byte %d (%q) flipped and still verified", name, bit%8, bit/8, content[bit/8])
			}
		}
	}
}

func TestPair(t *testing.T) {
	t.Parallel()
	a, b := exchange(t)
	tr := trust(t, a.anchors(t), b.anchors(t))
	in := func(s *side) Input {
		f := pack(t, s.files(t))
		return Input{bytes.NewReader(f), int64(len(f))}
	}
	p, err := VerifyPair(in(a), in(b), tr)
	if err != nil || p.Verdict != Verified || p.Agreed != 3 || len(p.OneSided) != 0 {
		t.Fatalf("%v %+v", err, p)
	}
	lone := *b // b forgot the message that a holds with b's signature
	lone.leaves = b.leaves[1:]
	lone.bodies = maps.Clone(b.bodies)
	delete(lone.bodies, Digest([]byte(`{"@type":"ContractRequestMessage"}`)))
	p, err = VerifyPair(in(a), in(&lone), tr)
	if err != nil || p.Verdict != Incomplete || len(p.OneSided) != 1 || p.OneSided[0].Tenant != a.did || !p.OneSided[0].Signed {
		t.Fatalf("%v %s %+v %v", err, p.Verdict, p.OneSided, p.B.Problems)
	}
	var out bytes.Buffer
	if err := p.Write(&out, "ja"); err != nil || !strings.Contains(out.String(), "一方のみ") {
		t.Fatal(out.String(), err)
	}
	if p, err = VerifyPair(in(a), in(a), tr); err != nil || p.Verdict != Invalid {
		t.Fatal("the same side twice is", p.Verdict, err)
	}
}

func TestTheArchiveIsAZip(t *testing.T) {
	t.Parallel()
	a, _ := exchange(t)
	files := a.files(t)
	b := pack(t, files)
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, files[f.Name]) || f.Method != zip.Store {
			t.Fatalf("%s: %v", f.Name, err)
		}
	}
	if len(z.File) != len(files) || !bytes.Equal(b, pack(t, files)) {
		t.Fatal("not all files, or not the same twice")
	}
}

type brokenReader struct{ *bytes.Reader }

func (b brokenReader) ReadAt(p []byte, off int64) (int, error) {
	if off > 300 {
		return 0, errors.New("disk says no")
	}
	return b.Reader.ReadAt(p, off)
}

func TestABrokenDiskIsAnErrorNotAVerdict(t *testing.T) {
	t.Parallel()
	a, _ := exchange(t)
	b := pack(t, a.files(t))
	if _, err := Verify(brokenReader{bytes.NewReader(b)}, int64(len(b)), Trust{}); err == nil || !strings.Contains(err.Error(), "disk says no") {
		t.Fatal(err)
	}
}

func FuzzVerify(f *testing.F) {
	a, b := exchange(f)
	tr := trust(f, a.anchors(f), b.anchors(f))
	whole := pack(f, a.files(f))
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add([]byte("PK\x05\x06"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := verify(t, in, tr)
		if r.Verdict == Verified && !bytes.Equal(in, whole) {
			t.Fatal("another file is verified")
		}
		if err := r.Write(io.Discard, "ja"); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkVerify1000Messages(b *testing.B) {
	a, c := newSide(b, "tokyo.example.jp"), newSide(b, "brussels.example.eu")
	for i := range 1000 {
		c.send(a, "kh.negotiation.requested", fmt.Sprintf(`{"@type":"ContractRequestMessage","n":%d,"x":%q}`, i, strings.Repeat("x", 1500)))
	}
	file := pack(b, a.files(b))
	tr := trust(b, a.anchors(b), c.anchors(b))
	b.SetBytes(int64(len(file)))
	for b.Loop() {
		if v := verify(b, file, tr).Verdict; v != Verified {
			b.Fatal(v)
		}
	}
}
