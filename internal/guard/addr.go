package guard

import "net/netip"

// class is a block of addresses that is not the public internet (the IANA
// special-purpose registries, RFC 6890).
type class struct {
	block netip.Prefix
	name  string
}

var classes = []class{
	{netip.MustParsePrefix("0.0.0.0/8"), "unspecified"},
	{netip.MustParsePrefix("10.0.0.0/8"), "private network"},
	{netip.MustParsePrefix("100.64.0.0/10"), "carrier-grade NAT"},
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback"},
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local"},
	{netip.MustParsePrefix("172.16.0.0/12"), "private network"},
	{netip.MustParsePrefix("192.0.0.0/24"), "reserved"},
	{netip.MustParsePrefix("192.0.2.0/24"), "documentation"},
	{netip.MustParsePrefix("192.88.99.0/24"), "6to4 relay"},
	{netip.MustParsePrefix("192.168.0.0/16"), "private network"},
	{netip.MustParsePrefix("198.18.0.0/15"), "benchmarking"},
	{netip.MustParsePrefix("198.51.100.0/24"), "documentation"},
	{netip.MustParsePrefix("203.0.113.0/24"), "documentation"},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast"},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved"},
	{netip.MustParsePrefix("::/128"), "unspecified"},
	{netip.MustParsePrefix("::1/128"), "loopback"},
	{netip.MustParsePrefix("64:ff9b:1::/48"), "local NAT64"},
	{netip.MustParsePrefix("100::/64"), "discard"},
	{netip.MustParsePrefix("2001::/23"), "reserved"}, // Teredo, ORCHID, benchmarking
	{netip.MustParsePrefix("2001:db8::/32"), "documentation"},
	{netip.MustParsePrefix("3fff::/20"), "documentation"},
	{netip.MustParsePrefix("5f00::/16"), "segment routing"},
	{netip.MustParsePrefix("fc00::/7"), "private network"},
	{netip.MustParsePrefix("fe80::/10"), "link-local"},
	{netip.MustParsePrefix("fec0::/10"), "site-local"},
	{netip.MustParsePrefix("ff00::/8"), "multicast"},
}

// Prefixes that carry an IPv4 address, and where in the sixteen bytes it stands.
var carriers = []struct {
	block netip.Prefix
	at    int
}{
	{netip.MustParsePrefix("::/96"), 12},           // IPv4-compatible
	{netip.MustParsePrefix("::ffff:0:0:0/96"), 12}, // IPv4-translated (RFC 2765)
	{netip.MustParsePrefix("64:ff9b::/96"), 12},    // NAT64
	{netip.MustParsePrefix("2002::/16"), 2},        // 6to4
}

// inside names the class of an address that may not be called, "" if it may.
func (g *Guard) inside(ip netip.Addr) string {
	ip = ip.Unmap().WithZone("")
	if g.listed(ip) {
		return ""
	}
	if ip.IsLoopback() && g.c.Dev {
		return ""
	}
	for _, c := range classes {
		if c.block.Contains(ip) {
			return c.name
		}
	}
	for _, c := range carriers {
		if c.block.Contains(ip) {
			b := ip.As16()
			v4 := netip.AddrFrom4([4]byte(b[c.at : c.at+4]))
			for _, k := range classes { // loopback as well: no dev host is written so
				if k.block.Contains(v4) {
					return k.name + " inside an IPv6 address"
				}
			}
		}
	}
	return ""
}

// listed says whether the operator allowed it.
func (g *Guard) listed(ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	for _, p := range g.c.Allow {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}
