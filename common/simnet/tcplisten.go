package simnet

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// tcpListener implements net.Listener.
type tcpListener struct {
	host *Host
	port uint16

	mu      sync.Mutex
	changed sync.Cond
	backlog []*tcpConn
	closed  bool
}

func (h *Host) listenTCP(port uint16) (*tcpListener, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if port == 0 {
		port = h.choosePortLocked()
	}
	l := &tcpListener{host: h, port: port}
	l.changed.L = &l.mu
	if h.listeners[port] != nil {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Addr: l.Addr(), Err: errInUse}
	}
	h.listeners[port] = l
	return l, nil
}

// Accept implements net.Listener.
func (l *tcpListener) Accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.backlog) == 0 {
		if l.closed {
			return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.Addr(), Err: net.ErrClosed}
		}
		l.changed.Wait()
	}
	c := l.backlog[0]
	l.backlog = l.backlog[1:]
	return c, nil
}

// Close implements net.Listener.
func (l *tcpListener) Close() error {
	l.host.mu.Lock()
	if l.host.listeners[l.port] == l {
		delete(l.host.listeners, l.port)
	}
	l.host.mu.Unlock()
	l.mu.Lock()
	waiting := l.backlog
	l.closed, l.backlog = true, nil
	l.changed.Broadcast()
	l.mu.Unlock()
	for _, c := range waiting {
		c.reset()
	}
	return nil
}

// Addr implements net.Listener.
func (l *tcpListener) Addr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(l.host.addr, l.port))
}

// offer adds a connection that a host has asked for.
func (l *tcpListener) offer(c *tcpConn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.backlog = append(l.backlog, c)
		l.changed.Signal()
	}
	return !l.closed
}

// dialTCP makes a connection: one round trip, repeated after a second and more.
func (h *Host) dialTCP(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	peer, there, back := h.between(to.Addr())
	if peer == nil {
		return nil, syscall.EHOSTUNREACH
	}
	h.mu.Lock()
	from := netip.AddrPortFrom(h.addr, h.choosePortLocked())
	h.mu.Unlock()
	seen := from
	if h.home != nil && h.neighbour(to.Addr()) == nil {
		seen = netip.AddrPortFrom(h.home.addr, from.Port())
	}
	d := &handshake{
		here: newTCP(from, to, there), there: newTCP(to, seen, back), host: peer, result: make(chan error, 1),
	}
	d.here.peer, d.there.peer = d.there, d.here
	d.ask(1)
	select {
	case err := <-d.result:
		if err != nil {
			return nil, err
		}
		return d.here, nil
	case <-ctx.Done():
		d.here.Close()
		return nil, ctx.Err()
	}
}

// handshake makes a connection known at both ends.
type handshake struct {
	here, there *tcpConn
	host        *Host      // of there
	result      chan error // buffered
}

// synTimeout is RFC 6298's first time-out.
const synTimeout = time.Second

func (d *handshake) ask(try int) {
	p := &parcel{lines: d.here.lines, size: tcpHeaders}
	p.arrived = d.asked
	p.lost = func() { d.later(try, d.ask) }
	p.send()
}

func (d *handshake) asked() {
	d.host.mu.Lock()
	l := d.host.listeners[d.here.remote.Port()]
	d.host.mu.Unlock()
	if l == nil || !l.offer(d.there) {
		d.answer(1, syscall.ECONNREFUSED)
		return
	}
	d.answer(1, nil)
}

func (d *handshake) answer(try int, result error) {
	p := &parcel{lines: d.there.lines, size: tcpHeaders}
	p.arrived = func() { d.result <- result }
	p.lost = func() { d.later(try, func(try int) { d.answer(try, result) }) }
	p.send()
}

func (d *handshake) later(try int, again func(try int)) {
	d.here.mu.Lock()
	defer d.here.mu.Unlock()
	if try < giveUpAfter && !d.here.closed {
		time.AfterFunc(min(synTimeout<<(try-1), mostTimeout), func() { again(try + 1) })
	}
}
