package sdp

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"
)

// A candidateKind is the type of an ICE candidate. Kinds are in order of how
// well the address names the peer.
type candidateKind int

const (
	hostCandidate candidateKind = iota
	peerReflexiveCandidate
	serverReflexiveCandidate
	relayCandidate
)

// A candidate is what is of interest in an a=candidate line.
type candidate struct {
	kind     candidateKind
	priority uint32
	addr     netip.Addr // invalid if the candidate has a name instead
}

// candidateFields is how many words every candidate has, up to its type:
// foundation, component, transport, priority, address, port, "typ" and type
// (RFC 8839 section 5.1).
const candidateFields = 8

// readCandidate reads an attribute as a candidate. ok is false if it is another
// attribute or not well formed.
func readCandidate(a sdp.Attribute) (c candidate, ok bool) {
	if !a.IsICECandidate() {
		return c, false
	}
	// An empty foundation, of which there are some about, leaves the value
	// with a leading space: hence Split and not Fields.
	f := strings.SplitN(a.Value, " ", candidateFields+1)
	if len(f) < candidateFields || f[6] != "typ" || !isTransport(f[2]) {
		return c, false
	}
	if _, err := strconv.ParseUint(f[1], 10, 16); err != nil {
		return c, false
	}
	priority, err := strconv.ParseUint(f[3], 10, 32)
	if err != nil {
		return c, false
	}
	if _, err := strconv.ParseUint(f[5], 10, 16); err != nil {
		return c, false
	}
	switch f[7] {
	case "host":
		c.kind = hostCandidate
	case "prflx":
		c.kind = peerReflexiveCandidate
	case "srflx":
		c.kind = serverReflexiveCandidate
	case "relay":
		c.kind = relayCandidate
	default:
		return c, false
	}
	c.priority = uint32(priority)
	// A zone means nothing to anyone but the peer.
	literal, _, _ := strings.Cut(f[4], "%")
	if addr, err := netip.ParseAddr(literal); err == nil {
		c.addr = addr.Unmap()
	} else if c.kind != hostCandidate {
		return c, false // only a host candidate may hide behind a name
	}
	return c, true
}

func isTransport(word string) bool {
	return strings.EqualFold(word, "udp") || strings.EqualFold(word, "tcp")
}
