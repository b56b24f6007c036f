package simnet

import (
	"fmt"
	"net/netip"
	"sync"

	"flurry/common/simnet/line"
)

// Access is the line of a host or of a home, as it sees it.
type Access struct {
	Up, Down line.Shape
}

// A World is where packets find their way. Its methods may be called from any
// goroutine.
type World struct {
	mu      sync.Mutex
	publics map[netip.Addr]station
	next    uint16 // of the public addresses
	homes   byte
}

// A station is what a public address leads to: one of the two.
type station struct {
	host *Host
	home *Home
}

// New returns a World without hosts. It need not be closed.
func New() *World { return &World{publics: make(map[netip.Addr]station)} }

// allocate gives s a public address. There are 65535: a test with more is a mistake.
func (w *World) allocate(s station) netip.Addr {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.next++; w.next == 0 {
		panic("simnet: no address is left")
	}
	a := netip.AddrFrom4([4]byte{20, 0, byte(w.next >> 8), byte(w.next)})
	w.publics[a] = s
	return a
}

// at returns what a leads to, the zero station if nothing.
func (w *World) at(a netip.Addr) station {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.publics[a]
}

// Host adds a host with a public address and lines of its own.
func (w *World) Host(a Access) *Host {
	h := newHost(w, nil, a)
	h.addr = w.allocate(station{host: h})
	return h
}

// A Home is several hosts behind one NAT and one line.
type Home struct {
	world    *World
	addr     netip.Addr
	id       byte
	up, down *line.Line
	nat      *nat

	mu    sync.Mutex
	hosts map[netip.Addr]*Host
}

// Home adds a home without hosts.
func (w *World) Home(kind NAT, a Access) *Home {
	h := &Home{world: w, up: line.New(a.Up), down: line.New(a.Down), nat: newNAT(kind), hosts: make(map[netip.Addr]*Host)}
	h.addr = w.allocate(station{home: h})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.homes++
	h.id = w.homes
	return h
}

// Host adds a host to the home. Its own lines lie before those of the home.
func (h *Home) Host(a Access) *Host {
	host := newHost(h.world, h, a)
	h.mu.Lock()
	defer h.mu.Unlock()
	host.addr = netip.AddrFrom4([4]byte{10, 0, h.id, byte(len(h.hosts) + 2)})
	h.hosts[host.addr] = host
	return host
}

// Addr is the home's public address.
func (h *Home) Addr() netip.Addr { return h.addr }

// Up is the line from the home to the World.
func (h *Home) Up() *line.Line { return h.up }

// Down is the line from the World to the home.
func (h *Home) Down() *line.Line { return h.down }

func (h *Home) host(a netip.Addr) *Host {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.hosts[a]
}

// parcel is a packet on its way over several lines; it implements line.Packet.
type parcel struct {
	lines   []*line.Line
	size    int    // with all headers
	arrived func() // after the last line
	lost    func() // nil: nobody cares
}

// send puts p on its first line.
func (p *parcel) send() {
	if len(p.lines) == 0 {
		p.arrived()
		return
	}
	l := p.lines[0]
	p.lines = p.lines[1:]
	l.Put(p)
}

// Len implements line.Packet.
func (p *parcel) Len() int { return p.size }

// Reliable implements line.Packet.
func (p *parcel) Reliable() bool { return false }

// Arrive implements line.Packet.
func (p *parcel) Arrive() { p.send() }

// Lost implements line.Packet.
func (p *parcel) Lost() {
	if p.lost != nil {
		p.lost()
	}
}

// String shows the home in logs of tests.
func (h *Home) String() string { return fmt.Sprintf("home %v", h.addr) }
