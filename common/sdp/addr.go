package sdp

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/pion/sdp/v3"
)

// carrierGradeNAT is the shared address space of RFC 6598.
var carrierGradeNAT = netip.MustParsePrefix("100.64.0.0/10")

// IsPrivate reports whether a belongs to a private network or a link: 10/8,
// 172.16/12, 192.168/16, fc00::/7, 169.254/16, fe80::/10 and 100.64/10. An IPv4
// address mapped into IPv6 counts as IPv4.
func IsPrivate(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsPrivate() || a.IsLinkLocalUnicast() || carrierGradeNAT.Contains(a)
}

// IsLocal reports whether a is of no use to a peer elsewhere: private, loopback
// or unspecified, the list of spec section 5.3.
func IsLocal(a netip.Addr) bool {
	a = a.Unmap()
	return IsPrivate(a) || a.IsLoopback() || a.IsUnspecified()
}

// StripLocal returns text without its host candidates that have a local
// address. Candidates of other types, those with a name for an address, and
// lines that are not candidates at all stay. Text that has nothing to strip, or
// is not a session description, is returned as it is.
func StripLocal(text string) string {
	var session sdp.SessionDescription
	if err := session.UnmarshalString(text); err != nil {
		return text
	}
	stripped := false
	for _, m := range session.MediaDescriptions {
		m.Attributes = slices.DeleteFunc(m.Attributes, func(a sdp.Attribute) bool {
			c, ok := readCandidate(a)
			strip := ok && c.kind == hostCandidate && c.addr.IsValid() && IsLocal(c.addr)
			stripped = stripped || strip
			return strip
		})
	}
	if !stripped {
		return text
	}
	rest, err := session.Marshal()
	if err != nil {
		return text
	}
	return string(rest)
}

// CandidateAddrs returns the literal addresses of the candidates in text, the
// one that names the peer best first: by type host, peer-reflexive,
// server-reflexive, relay; then the higher priority; then the later in the
// text. Addresses are neither filtered nor made unique.
func CandidateAddrs(text string) []netip.Addr {
	var session sdp.SessionDescription
	if err := session.UnmarshalString(text); err != nil {
		return nil
	}
	candidates := literalCandidates(&session)
	// Equals come in reverse, as from a stable sort read backwards.
	slices.Reverse(candidates)
	slices.SortStableFunc(candidates, func(a, b candidate) int {
		if a.kind != b.kind {
			return int(a.kind) - int(b.kind)
		}
		switch {
		case a.priority > b.priority:
			return -1
		case a.priority < b.priority:
			return 1
		}
		return 0
	})
	addrs := make([]netip.Addr, len(candidates))
	for i, c := range candidates {
		addrs[i] = c.addr
	}
	return addrs
}

// RemoteAddr returns the address that the peer who wrote text is reached by, as
// a proxy tells it to the bridge (spec section 8.1): the first candidate
// address that is not local, else that of a c= line. ok is false if there is
// none.
func RemoteAddr(text string) (addr netip.Addr, ok bool) {
	var session sdp.SessionDescription
	if err := session.UnmarshalString(text); err != nil {
		return netip.Addr{}, false
	}
	for _, c := range literalCandidates(&session) {
		if !IsLocal(c.addr) {
			return c.addr, true
		}
	}
	for _, c := range connections(&session) {
		if addr, ok := connectionAddr(c); ok && !IsLocal(addr) {
			return addr, true
		}
	}
	return netip.Addr{}, false
}

// literalCandidates returns the candidates of session that have an address and
// not a name, in text order.
func literalCandidates(session *sdp.SessionDescription) []candidate {
	var candidates []candidate
	for _, m := range session.MediaDescriptions {
		for _, a := range m.Attributes {
			if c, ok := readCandidate(a); ok && c.addr.IsValid() {
				candidates = append(candidates, c)
			}
		}
	}
	return candidates
}

// connections returns the c= lines of session: those of the media sections,
// then its own, for which they stand in. Some may be nil.
func connections(session *sdp.SessionDescription) []*sdp.ConnectionInformation {
	all := make([]*sdp.ConnectionInformation, 0, len(session.MediaDescriptions)+1)
	for _, m := range session.MediaDescriptions {
		all = append(all, m.ConnectionInformation)
	}
	return append(all, session.ConnectionInformation)
}

// connectionAddr returns the address of a c= line without its TTL and range.
func connectionAddr(c *sdp.ConnectionInformation) (netip.Addr, bool) {
	if c == nil || c.Address == nil {
		return netip.Addr{}, false
	}
	literal, _, _ := strings.Cut(c.Address.Address, "/")
	addr, err := netip.ParseAddr(literal)
	if err != nil || addr.Zone() != "" {
		return netip.Addr{}, false
	}
	return addr.Unmap(), true
}
