package simnet

import (
	"net/netip"
	"sync"
)

// NAT is how a home's router translates UDP, in the words of RFC 4787.
type NAT int

const (
	// FullCone maps each inner port to one outer port and lets everybody in.
	FullCone NAT = iota
	// PortRestricted maps the same way and lets in whom the inner port has
	// written to.
	PortRestricted
	// Symmetric maps to another outer port for each address that is written to,
	// and lets in only that.
	Symmetric
)

// firstOuterPort is where a NAT begins: any number will do.
const firstOuterPort = 20000

// nat is the table of one router. Mappings stay for ever.
type nat struct {
	kind NAT

	mu      sync.Mutex
	byInner map[mappingKey]*mapping
	byOuter map[uint16]*mapping
}

type mappingKey struct {
	inner  netip.AddrPort
	remote netip.AddrPort // Symmetric only
}

type mapping struct {
	inner   netip.AddrPort
	outer   uint16
	written map[netip.AddrPort]bool // addresses that may answer
}

func newNAT(kind NAT) *nat {
	return &nat{kind: kind, byInner: make(map[mappingKey]*mapping), byOuter: make(map[uint16]*mapping)}
}

// out returns the outer port of a packet from inner to remote.
func (n *nat) out(inner, remote netip.AddrPort) uint16 {
	n.mu.Lock()
	defer n.mu.Unlock()
	key := mappingKey{inner: inner}
	if n.kind == Symmetric {
		key.remote = remote
	}
	m := n.byInner[key]
	if m == nil {
		m = &mapping{inner: inner, outer: uint16(firstOuterPort + len(n.byOuter)), written: make(map[netip.AddrPort]bool)}
		n.byInner[key], n.byOuter[m.outer] = m, m
	}
	m.written[remote] = true
	return m.outer
}

// in returns whom a packet from remote to an outer port is for.
func (n *nat) in(remote netip.AddrPort, outer uint16) (netip.AddrPort, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	m := n.byOuter[outer]
	if m == nil || n.kind != FullCone && !m.written[remote] {
		return netip.AddrPort{}, false
	}
	return m.inner, true
}
