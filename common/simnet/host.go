package simnet

import (
	"fmt"
	"net/netip"
	"sync"

	"flurry/common/simnet/line"
)

// firstPort is where ports chosen by a host begin (RFC 6335, section 6).
const firstPort = 49152

// A Host has one address, sockets, and a line in each direction. It implements
// transport.Net. Its methods may be called from any goroutine.
type Host struct {
	world    *World
	home     *Home // nil: public
	addr     netip.Addr
	up, down *line.Line

	mu        sync.Mutex
	port      uint16 // the last one chosen
	udp       map[uint16]*udpConn
	listeners map[uint16]*tcpListener
}

func newHost(w *World, home *Home, a Access) *Host {
	return &Host{
		world: w, home: home, up: line.New(a.Up), down: line.New(a.Down), port: firstPort - 1,
		udp: make(map[uint16]*udpConn), listeners: make(map[uint16]*tcpListener),
	}
}

// Addr is the host's own address, behind a NAT a private one.
func (h *Host) Addr() netip.Addr { return h.addr }

// Up is the host's own line towards the World.
func (h *Host) Up() *line.Line { return h.up }

// Down is the line from the World to the host.
func (h *Host) Down() *line.Line { return h.down }

// Silence cuts the host off without a word, or brings it back.
func (h *Host) Silence(on bool) {
	h.up.Silence(on)
	h.down.Silence(on)
}

// String shows the host in logs of tests.
func (h *Host) String() string { return fmt.Sprintf("host %v", h.addr) }

// choosePortLocked returns a free port, never the same twice in a row.
func (h *Host) choosePortLocked() uint16 {
	for {
		if h.port++; h.port < firstPort {
			h.port = firstPort
		}
		if h.udp[h.port] == nil && h.listeners[h.port] == nil {
			return h.port
		}
	}
}

// upward returns the lines from h to the World, downward those back.
func (h *Host) upward() []*line.Line {
	if h.home == nil {
		return []*line.Line{h.up}
	}
	return []*line.Line{h.up, h.home.up}
}

func (h *Host) downward() []*line.Line {
	if h.home == nil {
		return []*line.Line{h.down}
	}
	return []*line.Line{h.home.down, h.down}
}

// neighbour returns the host of the same home with the address a.
func (h *Host) neighbour(a netip.Addr) *Host {
	if h.home == nil {
		return nil
	}
	return h.home.host(a)
}

// udpHeaders and tcpHeaders are those of IPv4 and of UDP, or of TCP with its
// time stamps.
const (
	udpHeaders = 20 + 8
	tcpHeaders = 20 + 32
)

// sendUDP carries one datagram, which it takes over, from a port of h.
func (h *Host) sendUDP(port uint16, to netip.AddrPort, data []byte) {
	from := netip.AddrPortFrom(h.addr, port)
	if n := h.neighbour(to.Addr()); n != nil || to.Addr() == h.addr {
		if n == nil {
			n = h
		}
		p := &parcel{lines: []*line.Line{h.up, n.down}, size: len(data) + udpHeaders}
		p.arrived = func() { n.receiveUDP(to.Port(), from, data) }
		p.send()
		return
	}
	p := &parcel{lines: h.upward(), size: len(data) + udpHeaders}
	p.arrived = func() {
		if h.home != nil {
			from = netip.AddrPortFrom(h.home.addr, h.home.nat.out(from, to))
		}
		h.world.crossUDP(from, to, data)
	}
	p.send()
}

// crossUDP takes a datagram from the lines of its sender to those of its
// receiver. A NAT decides when the packet has come down the line to it.
func (w *World) crossUDP(from, to netip.AddrPort, data []byte) {
	switch s := w.at(to.Addr()); {
	case s.host != nil:
		s.host.arriveUDP(to.Port(), from, data)
	case s.home != nil:
		p := &parcel{lines: []*line.Line{s.home.down}, size: len(data) + udpHeaders}
		p.arrived = func() {
			if inner, ok := s.home.nat.in(from, to.Port()); ok {
				s.home.host(inner.Addr()).arriveUDP(inner.Port(), from, data)
			}
		}
		p.send()
	}
}

// arriveUDP takes a datagram down the host's own line.
func (h *Host) arriveUDP(port uint16, from netip.AddrPort, data []byte) {
	p := &parcel{lines: []*line.Line{h.down}, size: len(data) + udpHeaders}
	p.arrived = func() { h.receiveUDP(port, from, data) }
	p.send()
}

func (h *Host) receiveUDP(port uint16, from netip.AddrPort, data []byte) {
	h.mu.Lock()
	c := h.udp[port]
	h.mu.Unlock()
	if c != nil {
		c.deliver(from, data)
	}
}
