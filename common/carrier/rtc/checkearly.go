package rtc

import (
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/stun/v4"
)

// The answerer's checks arrive while its answer is still on its way through the
// broker. The ICE agent leaves them until the answer is here, and then answers
// them all at once; a browser answers each as it comes, which takes no more than
// its own password. So does an early, one for each socket, until the agent reads.
type early struct {
	stopped sync.WaitGroup
	some    atomic.Bool // kept is not empty

	mu   sync.Mutex
	kept []keptPacket // for the agent
}

type keptPacket struct {
	from netip.AddrPort
	data []byte
}

const (
	// mostKept bounds what is kept for the agent: a browser's hello, several times.
	mostKept  = 32
	earlySize = 2048 // bytes of a packet
)

// answerEarly begins to answer checks on the sockets that wait for nothing else.
func (s *shaper) answerEarly(local credentials) {
	for _, c := range s.sockets() {
		if c.requests.asks() {
			continue // the answer of a STUN server is the agent's to read
		}
		c.early.stopped.Go(func() { c.answerChecks(local) })
	}
}

// stopEarly ends it, before the agent reads; a later call does nothing.
func (s *shaper) stopEarly() {
	s.stopped.Do(func() {
		for _, c := range s.sockets() {
			_ = c.UDPConn.SetReadDeadline(time.Unix(1, 0))
			c.early.stopped.Wait()
			_ = c.UDPConn.SetReadDeadline(time.Time{})
		}
	})
}

// answerChecks answers checks and keeps what is not one, until a read fails.
func (c *shapedConn) answerChecks(local credentials) {
	buf := make([]byte, earlySize)
	for {
		n, from, err := c.below.ReadFromAddrPort(buf)
		if err != nil {
			return
		}
		if answer, ok := answerCheck(buf[:n], from, local); ok {
			_, _ = c.below.WriteToAddrPort(answer, from)
			c.requests.askedEarly(from)
			continue
		}
		if classify(buf[:n]) == dtlsPacket {
			c.requests.shaper.stash(buf[:n]) // the agent takes none before it knows the other end's addresses
			continue
		}
		c.early.keep(buf[:n], from)
	}
}

// stash keeps a packet of DTLS, and no more than mostStashed.
func (s *shaper) stash(p []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hellos = keepLast(s.hellos, p)
}

// takeStash gives away what was kept, of all sockets.
func (s *shaper) takeStash() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	hellos := s.hellos
	s.hellos = nil
	return hellos
}

// answerCheck returns the answer to a check of a controlled agent's, signed with
// the password that its offer has told it.
func answerCheck(p []byte, from netip.AddrPort, local credentials) ([]byte, bool) {
	m := &stun.Message{Raw: p}
	if classify(p) != stunPacket || m.Decode() != nil || m.Type != stun.BindingRequest || !m.Contains(stun.AttrICEControlled) {
		return nil, false
	}
	username, err := m.Get(stun.AttrUsername)
	if err != nil || !strings.HasPrefix(string(username), local.ufrag+":") || stun.NewShortTermIntegrity(local.pwd).Check(m) != nil {
		return nil, false
	}
	out := stun.New()
	out.Type, out.TransactionID = stun.BindingSuccess, m.TransactionID
	out.WriteHeader()
	addr := stun.XORMappedAddress{IP: net.IP(from.Addr().Unmap().AsSlice()), Port: int(from.Port())}
	if addr.AddTo(out) != nil || sign(out, local.pwd) != nil {
		return nil, false
	}
	return out.Raw, true
}

func (e *early) keep(p []byte, from netip.AddrPort) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.kept) < mostKept {
		e.kept = append(e.kept, keptPacket{from, append([]byte(nil), p...)})
		e.some.Store(true)
	}
}

// next returns a packet that was kept.
func (e *early) next(p []byte) (n int, from netip.AddrPort, ok bool) {
	if !e.some.Load() {
		return 0, from, false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.kept) == 0 {
		return 0, from, false
	}
	k := e.kept[0]
	e.kept = e.kept[1:]
	e.some.Store(len(e.kept) > 0)
	return copy(p, k.data), k.from, true
}

// askedEarly notes that the other end has checked the pair before we have.
func (r *requests) askedEarly(from netip.AddrPort) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.early) < mostKept {
		r.early[netip.AddrPortFrom(from.Addr().Unmap(), from.Port())] = true
	}
}

// asks reports whether a STUN server is being asked.
func (r *requests) asks() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.asked) > 0
}
