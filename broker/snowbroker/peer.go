package snowbroker

import (
	"net/http"
	"net/netip"
	"strings"
)

// peerAddr is the address a request is attributed to in the statistics: the
// leftmost public entry of Forwarded, else of X-Forwarded-For, else the TCP
// peer (wire specification, section 2.9). Anyone can forge the headers, so
// nothing but counting may rest on it. The zero Addr means unknown.
func peerAddr(r *http.Request) netip.Addr {
	for _, line := range r.Header["Forwarded"] {
		for element := range strings.SplitSeq(line, ",") {
			if a := forwardedFor(element); isPublic(a) {
				return a
			}
		}
	}
	for _, line := range r.Header["X-Forwarded-For"] {
		for entry := range strings.SplitSeq(line, ",") {
			if a := parseHost(strings.TrimSpace(entry)); isPublic(a) {
				return a
			}
		}
	}
	return parseHost(r.RemoteAddr)
}

// forwardedFor reads the for= parameter of one element of a Forwarded header
// (RFC 7239, section 4).
func forwardedFor(element string) netip.Addr {
	for pair := range strings.SplitSeq(element, ";") {
		name, value, _ := strings.Cut(pair, "=")
		if strings.EqualFold(strings.TrimSpace(name), "for") {
			return parseHost(strings.Trim(strings.TrimSpace(value), `"`))
		}
	}
	return netip.Addr{}
}

// parseHost reads an address with or without a port, IPv6 with or without
// brackets.
func parseHost(s string) netip.Addr {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap()
	}
	if a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")); err == nil {
		return a.Unmap()
	}
	return netip.Addr{}
}

// specialRanges lists the special-purpose blocks (RFC 6890 and its registry)
// that netip's own predicates do not cover.
func specialRanges() []netip.Prefix {
	var out []netip.Prefix
	for _, s := range []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24",
		"198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16",
	} {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// isPublic tells whether a can be the address of a host on the Internet.
func isPublic(a netip.Addr) bool {
	if !a.IsValid() || a.IsUnspecified() || a.IsLoopback() || a.IsPrivate() ||
		a.IsLinkLocalUnicast() || a.IsMulticast() {
		return false
	}
	for _, p := range specialRanges() {
		if p.Contains(a) {
			return false
		}
	}
	return true
}
