package rtc

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/stun/v4"
	"github.com/pion/transport/v5"
)

// A shaper has the STUN requests of one connection leave in a browser's shape
// and at its times, on all sockets of the connection. The ICE agent above it
// sees its own requests answered. It decides when to check which pair; the
// shaper, when that check leaves, and how often the pair is checked until then.
type shaper struct {
	shape *checkShape
	ticks ticks

	trip     atomic.Int64  // round trip of the pair that has worked last, in ns; 0 while none has
	answered chan struct{} // closed when one has
	first    sync.Once
	stopped  sync.Once // see stopEarly

	mu     sync.Mutex
	pwd    string // of the other end
	conns  []*shapedConn
	hellos [][]byte // came before the other end's description, see stash
}

func newShaper(shape *checkShape, t ticks) *shaper {
	return &shaper{shape: shape, ticks: t, answered: make(chan struct{})}
}

// works notes that the ICE agent knows of a check that was answered.
func (s *shaper) works() { s.first.Do(func() { close(s.answered) }) }

func (s *shaper) roundTrip() time.Duration { return time.Duration(s.trip.Load()) }

// remotePassword is told before the ICE agent's first check.
func (s *shaper) remotePassword(pwd string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pwd = pwd
}

func (s *shaper) password() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pwd
}

func (s *shaper) sockets() []*shapedConn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.conns)
}

// shapedNet is a network whose sockets are shaped.
type shapedNet struct {
	transport.Net
	shaper *shaper
}

// ListenUDP implements transport.Net.
func (n shapedNet) ListenUDP(network string, laddr *net.UDPAddr) (transport.UDPConn, error) {
	c, err := n.Net.ListenUDP(network, laddr)
	if err != nil {
		return nil, err
	}
	shaped := newShapedConn(c, n.shaper)
	n.shaper.mu.Lock()
	defer n.shaper.mu.Unlock()
	n.shaper.conns = append(n.shaper.conns, shaped)
	return shaped, nil
}

// addrPortSocket is a socket that needs no net.Addr for each packet.
type addrPortSocket interface {
	ReadFromAddrPort(p []byte) (int, netip.AddrPort, error)
	WriteToAddrPort(p []byte, to netip.AddrPort) (int, error)
}

// udpAddrPort is what net.UDPConn calls it.
type udpAddrPort struct{ *net.UDPConn }

func (c udpAddrPort) ReadFromAddrPort(p []byte) (int, netip.AddrPort, error) {
	return c.ReadFromUDPAddrPort(p)
}

func (c udpAddrPort) WriteToAddrPort(p []byte, to netip.AddrPort) (int, error) {
	return c.WriteToUDPAddrPort(p, to)
}

// plainAddrPort is any other socket.
type plainAddrPort struct{ transport.UDPConn }

func (c plainAddrPort) ReadFromAddrPort(p []byte) (int, netip.AddrPort, error) {
	n, from, err := c.ReadFromUDP(p)
	if err != nil {
		return n, netip.AddrPort{}, err
	}
	return n, from.AddrPort(), nil
}

func (c plainAddrPort) WriteToAddrPort(p []byte, to netip.AddrPort) (int, error) {
	return c.WriteTo(p, net.UDPAddrFromAddrPort(to))
}

// A shapedConn is one socket. What is not STUN passes it without a lock.
type shapedConn struct {
	transport.UDPConn
	below    addrPortSocket
	requests *requests
	early    early
}

func newShapedConn(c transport.UDPConn, s *shaper) *shapedConn {
	sc := &shapedConn{UDPConn: c}
	switch below := c.(type) {
	case addrPortSocket:
		sc.below = below
	case *net.UDPConn:
		sc.below = udpAddrPort{below}
	default:
		sc.below = plainAddrPort{c}
	}
	sc.requests = newRequests(s, sc.below)
	return sc
}

// WriteToAddrPort implements ice.AddrPortReaderWriter.
func (c *shapedConn) WriteToAddrPort(p []byte, to netip.AddrPort) (int, error) {
	if classify(p) == stunPacket && c.requests.take(p, to) {
		return len(p), nil
	}
	return c.below.WriteToAddrPort(p, to)
}

// ReadFromAddrPort implements ice.AddrPortReaderWriter.
func (c *shapedConn) ReadFromAddrPort(p []byte) (int, netip.AddrPort, error) {
	if c.requests.worked.Load() && c.requests.worked.Swap(false) {
		c.requests.shaper.works() // the agent has read the answer, and now reads on
	}
	for {
		n, from, ok := c.early.next(p)
		var err error
		if !ok {
			n, from, err = c.below.ReadFromAddrPort(p)
		}
		if err != nil || classify(p[:n]) != stunPacket {
			return n, from, err
		}
		if n, ok := c.requests.give(p, n, from); ok {
			return n, from, nil
		}
	}
}

// WriteTo implements net.PacketConn.
func (c *shapedConn) WriteTo(p []byte, to net.Addr) (int, error) {
	if u, ok := to.(*net.UDPAddr); ok {
		return c.WriteToAddrPort(p, u.AddrPort())
	}
	return c.UDPConn.WriteTo(p, to)
}

// ReadFrom implements net.PacketConn.
func (c *shapedConn) ReadFrom(p []byte) (int, net.Addr, error) {
	n, from, err := c.ReadFromAddrPort(p)
	if err != nil {
		return n, nil, err
	}
	return n, net.UDPAddrFromAddrPort(from), nil
}

// Close implements net.PacketConn. No request leaves any more.
func (c *shapedConn) Close() error {
	c.requests.stop()
	return c.UDPConn.Close()
}

// requests are those of one socket that are under way or wait to leave.
type requests struct {
	shaper *shaper
	below  addrPortSocket
	worked atomic.Bool // an answer was given to the agent since it read last

	mu     sync.Mutex
	closed bool
	pairs  map[netip.AddrPort]*checkedPair
	early  map[netip.AddrPort]bool          // who has checked before we have
	asked  map[transactionID]*serverRequest // by the agent's id
	sent   map[transactionID]sentRequest    // by ours
}

// A checkedPair is what the shaper knows of the way to one address.
type checkedPair struct {
	pairPace
	check check
	timer *time.Timer // nil while none runs
}

// A serverRequest is a request to a STUN server and its repetitions.
type serverRequest struct {
	raw      []byte
	to       netip.AddrPort
	id       transactionID // ours
	repeated int
	timer    *time.Timer
}

// A sentRequest is one of which the answer may come.
type sentRequest struct {
	agents transactionID // the agent's request that it stands for
	ours   bool          // it stands for none
	server bool
	to     netip.AddrPort
	at     time.Time
}

const (
	// answerTime is how long an answer is waited for, and manySent from how many
	// on the older ones are forgotten.
	answerTime = 10 * time.Second
	manySent   = 64
)

func newRequests(s *shaper, below addrPortSocket) *requests {
	return &requests{shaper: s, below: below, pairs: map[netip.AddrPort]*checkedPair{}, early: map[netip.AddrPort]bool{},
		asked: map[transactionID]*serverRequest{}, sent: map[transactionID]sentRequest{}}
}

// take takes a STUN message of the agent's to itself if it is a request.
func (r *requests) take(p []byte, to netip.AddrPort) bool {
	m := &stun.Message{Raw: append([]byte(nil), p...)}
	if m.Decode() != nil || m.Type != stun.BindingRequest {
		return false
	}
	if len(m.Attributes) == 0 {
		r.askServer(m.TransactionID, to)
		return true
	}
	c, ok := readCheck(m)
	if ok {
		r.offer(c, m.TransactionID, to)
	}
	return ok
}

// give turns the STUN message of n bytes in p into what the agent expects, in
// place. ok is false if there is nothing for the agent in it.
func (r *requests) give(p []byte, n int, from netip.AddrPort) (length int, ok bool) {
	m := &stun.Message{Raw: append([]byte(nil), p[:n]...)}
	if m.Decode() != nil {
		return n, true // the agent says what it thinks of it
	}
	if m.Type == stun.BindingRequest {
		r.hearAsked(m, from)
		return n, true
	}
	s, ok := r.answered(m.TransactionID, from)
	if !ok {
		return n, true // not to a request of ours: the agent drops it
	}
	out, err := restore(m, s.agents, r.shaper.password(), s.server)
	if err != nil || len(out) > len(p) {
		return 0, false
	}
	r.settle(m, s)
	if s.ours {
		return n, true // its id is unknown to the agent, which notes that the other end lives
	}
	return copy(p, out), true
}

// stop ends all that waits to leave.
func (r *requests) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	for _, p := range r.pairs {
		if p.timer != nil {
			p.timer.Stop()
		}
	}
	for _, s := range r.asked {
		s.timer.Stop()
	}
}
