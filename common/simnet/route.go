package simnet

import (
	"net/netip"

	"flurry/common/simnet/line"
)

// Route returns the lines that a packet takes from h to another host, and those
// of the way back: for carriers of tests that need no UDP. Between two homes no
// NAT is asked.
func (h *Host) Route(to *Host) (there, back []*line.Line) {
	if h == to {
		return nil, nil
	}
	if h.home != nil && h.home == to.home {
		return []*line.Line{h.up, to.down}, []*line.Line{to.up, h.down}
	}
	return append(h.upward(), to.downward()...), append(to.upward(), h.downward()...)
}

// between returns the host that h means by an address, nil if it takes no
// connections from h, and the lines between them.
func (h *Host) between(to netip.Addr) (peer *Host, there, back []*line.Line) {
	switch peer = h.neighbour(to); {
	case peer != nil:
	case to == h.addr:
		peer = h
	default:
		peer = h.world.at(to).host // homes take no connections
	}
	if peer == nil {
		return nil, nil, nil
	}
	there, back = h.Route(peer)
	return peer, there, back
}
