package netlab

import (
	"io"
	"sync"

	"flurry/common/simnet/line"
)

// maxPacket is above the MTU of the hosts, 1500.
const maxPacket = 2048

// A packet is on its way: through the sender's line up, then through the receiver's line down.
type packet struct {
	f        *forwarder
	from, to *access // to is nil if nobody has the address
	landing  bool    // the line up is passed
	n        int
	data     [maxPacket]byte
}

func (p *packet) Len() int       { return p.n }
func (p *packet) Reliable() bool { return false }
func (p *packet) Lost()          { p.f.free.Put(p) }

// Arrive moves on to the next line, past those who watch, or to the host.
func (p *packet) Arrive() {
	if !p.landing {
		p.landing = true
		if p.from.passes(true, p) && p.to != nil && p.to.passes(false, p) {
			p.to.down.Put(p)
			return
		}
		p.f.free.Put(p)
		return
	}
	p.to.count(p.source(), p.n)
	// A host that is gone, or whose kernel has no room, loses the packet.
	p.to.tun.Write(p.data[:p.n]) //nolint:errcheck // As a wire does.
	p.f.free.Put(p)
}

// source is the source address of an IPv4 packet, RFC 791 section 3.1.
func (p *packet) source() [4]byte { return [4]byte(p.data[12:16]) }

// An access joins a host to the forwarder.
type access struct {
	tun      io.ReadWriteCloser
	up, down *line.Line
	watch    func(up bool, packet []byte) bool // nil: see HostConfig.Watch

	mu   sync.Mutex
	from map[[4]byte]int64 // bytes brought to the host, by source address
}

// passes reports whether whoever watches lets the packet go on.
func (a *access) passes(up bool, p *packet) bool {
	return a.watch == nil || a.watch(up, p.data[:p.n])
}

func (a *access) count(from [4]byte, n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.from[from] += int64(n)
}

// A forwarder brings IPv4 packets from TUN device to TUN device by their destination address. Packets to an address that
// nobody has are dropped.
type forwarder struct {
	tasks sync.WaitGroup
	free  sync.Pool

	mu    sync.Mutex
	hosts map[[4]byte]*access
	all   []*access
}

func newForwarder() *forwarder {
	f := &forwarder{hosts: map[[4]byte]*access{}}
	f.free.New = func() any { return &packet{f: f} }
	return f
}

// join takes over a host's TUN device.
func (f *forwarder) join(tun io.ReadWriteCloser, c HostConfig, addrs ...[4]byte) *access {
	a := &access{tun: tun, up: line.New(*c.Up), down: line.New(*c.Down), watch: c.Watch, from: map[[4]byte]int64{}}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = append(f.all, a)
	for _, addr := range addrs {
		f.hosts[addr] = a
	}
	f.tasks.Go(func() { f.read(a) })
	return a
}

// read takes what a host sends, until its device is closed.
func (f *forwarder) read(a *access) {
	for {
		p := f.free.Get().(*packet)
		var err error
		if p.n, err = a.tun.Read(p.data[:]); err != nil {
			return
		}
		p.from, p.landing = a, false
		if p.n < 20 || p.data[0]>>4 != 4 { // Kernels greet routers by IPv6.
			continue
		}
		f.mu.Lock()
		p.to = f.hosts[[4]byte(p.data[16:20])]
		f.mu.Unlock()
		a.up.Put(p)
	}
}

// close closes the devices. Packets on the way are lost.
func (f *forwarder) close() {
	f.mu.Lock()
	all := f.all
	f.mu.Unlock()
	for _, a := range all {
		a.up.Silence(true)
		a.down.Silence(true)
		a.tun.Close()
	}
	f.tasks.Wait()
}
