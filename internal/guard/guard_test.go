package guard

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
)

func TestClassesOfAddresses(t *testing.T) {
	t.Parallel()
	public := New(Config{})
	dev := New(Config{Dev: true})
	opened := New(Config{Allow: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00::/8")}})
	for _, c := range []struct {
		ip                string
		public, dev, open bool
	}{
		{"8.8.8.8", true, true, true},
		{"2600::1", true, true, true},
		{"127.0.0.1", false, true, false},
		{"127.8.9.10", false, true, false},
		{"::1", false, true, false},
		{"::ffff:127.0.0.1", false, true, false},
		{"0.0.0.0", false, false, false},
		{"0.1.2.3", false, false, false},
		{"::", false, false, false},
		{"10.1.2.3", false, false, true},
		{"10.2.2.3", false, false, false},
		{"::ffff:10.1.2.3", false, false, true},
		{"172.16.0.1", false, false, false},
		{"172.32.0.1", true, true, true},
		{"192.168.1.1", false, false, false},
		{"100.64.0.1", false, false, false},
		{"100.128.0.1", true, true, true},
		{"169.254.169.254", false, false, false},
		{"fe80::1", false, false, false},
		{"fe80::1%eth0", false, false, false},
		{"fec0::1", false, false, false},
		{"fd12::1", false, false, true},
		{"fc00::1", false, false, false},
		{"224.0.0.1", false, false, false},
		{"ff02::1", false, false, false},
		{"255.255.255.255", false, false, false},
		{"198.18.0.1", false, false, false},
		{"203.0.113.9", false, false, false},
		{"2001:db8::1", false, false, false},
		{"2001:0:1::1", false, false, false},
		{"64:ff9b::7f00:1", false, false, false},
		{"64:ff9b::a01:203", false, false, false},
		{"64:ff9b::808:808", true, true, true},
		{"64:ff9b:1::808:808", false, false, false},
		{"2002:7f00:1::1", false, false, false},
		{"2002:c0a8:101::1", false, false, false},
		{"2002:808:808::1", true, true, true},
		{"::7f00:1", false, false, false},
		{"::ffff:0:a00:1", false, false, false},
	} {
		ip := netip.MustParseAddr(c.ip)
		for name, g := range map[string]struct {
			*Guard
			want bool
		}{"public": {public, c.public}, "dev": {dev, c.dev}, "open": {opened, c.open}} {
			if why := g.inside(ip); (why == "") != g.want {
				t.Errorf("%s with %s: %q", c.ip, name, why)
			}
		}
	}
}

func TestCheckNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	public := New(Config{})
	dev := New(Config{Dev: true})
	opened := New(Config{Allow: []netip.Prefix{netip.MustParsePrefix("172.17.0.0/16")}})
	for _, c := range []struct {
		g    *Guard
		url  string
		want string // in the reason; "" passes
	}{
		{public, "https://node.example/dsp/osaka", ""},
		{public, "https://node.example:8443/x?y=z", ""},
		{public, "http://node.example/", "not https"},
		{public, "ftp://node.example/", "not https"},
		{public, "https:///x", "no host"},
		{public, "https:node.example", "no host"},
		{public, "/callback", "not https"},
		{public, "", "not https"},
		{public, "https://a:b@node.example/", "user info"},
		{public, "https://node.example/#x", "fragment"},
		{public, "https://node.example/#", "fragment"},
		{public, "https://node.example:99999/", "port"},
		{public, "https://node.example/\x7f", "not a URL"},
		{public, "https://127.0.0.1/", "loopback"},
		{public, "https://[::1]/", "loopback"},
		{public, "https://localhost/", "loopback"},
		{public, "https://LOCALHOST./", "loopback"},
		{public, "https://a.localhost/", "loopback"},
		{public, "https://[fe80::1%25eth0]/", "link-local"},
		{public, "https://169.254.169.254/latest/meta-data", "link-local"},
		{public, "https://" + strings.Repeat("x", 3000), "longer"},
		{dev, "http://127.0.0.1:8080/dsp", ""},
		{dev, "http://localhost:8080/dsp", ""},
		{dev, "https://[::1]:1/", ""},
		{dev, "http://node.example/", "not https"},
		{dev, "http://10.0.0.1/", "private"},
		{opened, "http://172.17.0.2:8282/", ""},
		{opened, "http://172.18.0.2:8282/", "private"},
		{opened, "http://localhost/", "loopback"},
	} {
		err := c.g.Check(c.url)
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", c.url, err)
			}
			continue
		}
		if !errors.Is(err, fault.AddressRefused) || !strings.Contains(fault.Of(err).Args["why"], c.want) {
			t.Errorf("%.60s: got %v, want %q", c.url, err, c.want)
		}
		if strings.Contains(err.Error(), "a:b@") {
			t.Error("the refusal shows a password")
		}
	}
}

// A name that is public when it is checked and inside when it is called.
func TestAnAddressIsJudgedWhenItIsDialled(t *testing.T) {
	t.Parallel()
	hit := false
	srv := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hit = true }))
	defer srv.Close()
	_, port, _ := net.SplitHostPort(srv.Listener.Addr().String())
	g := New(Config{Resolver: answering(t, [4]byte{127, 0, 0, 1})})
	raw := "https://rebind.example.com:" + port + "/"
	if err := g.Check(raw); err != nil {
		t.Fatalf("the name itself is nothing wrong: %v", err)
	}
	_, err := g.HTTP().Get(raw)
	if !errors.Is(err, fault.AddressRefused) || !Refused(err) {
		t.Fatalf("got %v", err)
	}
	if hit {
		t.Fatal("it was called")
	}
}

// answering is a resolver whose every name has the address ip.
func answering(t *testing.T, ip [4]byte) *net.Resolver {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.Close() })
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			if n < 17 {
				continue
			}
			end := 12 // the question: labels, a zero, type and class
			for end < n && buf[end] != 0 {
				end += int(buf[end]) + 1
			}
			if end += 5; end > n {
				continue
			}
			m := append([]byte{buf[0], buf[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, buf[12:end]...)
			if buf[end-3] == 1 { // A
				m[7] = 1
				m = append(m, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, ip[0], ip[1], ip[2], ip[3])
			}
			pc.WriteTo(m, from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", pc.LocalAddr().String())
	}}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	var calls int
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls++
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	}))
	defer srv.Close()
	g := New(Config{Dev: true})
	defer g.Close()
	resp, err := g.HTTP().Post(srv.URL, "application/json", strings.NewReader(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusTemporaryRedirect || calls != 1 {
		t.Fatalf("status %d after %d calls", resp.StatusCode, calls)
	}
}

func TestAnswersAreBounded(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/chunked" {
			w.(http.Flusher).Flush()
		}
		io.WriteString(w, strings.Repeat("x", 101))
	}))
	defer srv.Close()
	g := New(Config{Dev: true, MaxResponse: 100})
	defer g.Close()
	for _, path := range []string{"/", "/chunked"} {
		resp, err := g.HTTP().Get(srv.URL + path)
		if err == nil {
			var b []byte
			if b, err = io.ReadAll(resp.Body); len(b) > 100 {
				t.Errorf("%s: read %d bytes", path, len(b))
			}
			resp.Body.Close()
		}
		if !errors.Is(err, strictjson.ErrTooLarge) {
			t.Errorf("%s: got %v", path, err)
		}
		resp, err = g.Stream().Get(srv.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := Read(resp, 101); err != nil || len(b) != 101 {
			t.Errorf("%s: stream read %d bytes, %v", path, len(b), err)
		}
		if resp, err = g.Stream().Get(srv.URL + path); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(resp, 100); !errors.Is(err, strictjson.ErrTooLarge) {
			t.Errorf("%s: Read gives %v", path, err)
		}
	}
}

func TestASilentServerIsLeft(t *testing.T) {
	t.Parallel()
	stop := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-stop }))
	defer srv.Close()
	defer close(stop)
	g := New(Config{Dev: true, Timeout: 20 * time.Millisecond})
	_, err := g.HTTP().Get(srv.URL)
	var u *url.Error
	if !errors.As(err, &u) || !u.Timeout() {
		t.Fatalf("got %v", err)
	}
	if resp, err := g.Stream().Get(srv.URL); err == nil {
		resp.Body.Close()
		t.Fatal("the stream client waits for ever")
	}
}

func FuzzCheck(f *testing.F) {
	for _, s := range []string{"https://node.example/x", "http://[::ffff:127.0.0.1]/", "https://a@b#c", "https://[fe80::1%25x]:1", "%"} {
		f.Add(s)
	}
	g := New(Config{})
	f.Fuzz(func(t *testing.T, raw string) {
		if g.Check(raw) != nil {
			return
		}
		u, err := url.Parse(raw)
		if err != nil || u.Scheme != "https" || u.User != nil || u.Host == "" {
			t.Fatalf("%q passed", raw)
		}
	})
}
