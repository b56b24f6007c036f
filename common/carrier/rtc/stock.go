package rtc

import (
	"sync"
	"time"
)

const (
	// stockAge is how long a connection made ready is kept. NATs keep a mapping
	// for 30 s after its last packet (Linux; RFC 4787 asks for 2 min), and the
	// description must still reach the other end, whose checks then refresh it.
	stockAge = 20 * time.Second

	// stockRefresh is the age at which Prepare replaces it: a broker holds a
	// poll for 10 s (spec section 3.1), all of which it must last.
	stockRefresh = stockAge - 10*time.Second

	// stockPorts is the least number of ports, where they are limited, that
	// leaves room for a connection nobody uses yet.
	stockPorts = 64
)

// A stock holds at most one connection made ready: its certificate, its sockets
// and its candidates, which cost a round trip to a STUN server.
type stock struct {
	mu     sync.Mutex
	closed bool
	ready  *peer       // nil if there is none
	expiry *time.Timer // of ready
	work   sync.WaitGroup
}

// Prepare makes a connection ready for the next Dial or Answer, unless one is
// that is young enough, and returns at once. What is not used within 20 s is
// thrown away; nothing is sent to keep it alive. Whoever calls Prepare calls
// Close.
func (e *Endpoint) Prepare() {
	if e.cfg.PortMin != 0 && e.cfg.PortMax-e.cfg.PortMin < stockPorts-1 {
		return
	}
	s := &e.stock
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.ready != nil && time.Since(s.ready.gathering.began) < stockRefresh {
		return
	}
	s.dropLocked()
	p, err := e.newPeer()
	if err != nil {
		return // the next Dial or Answer meets the same error and tells
	}
	s.ready = p
	s.expiry = time.AfterFunc(stockAge, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.ready == p {
			s.dropLocked()
		}
	})
}

// take removes the ready connection and returns it, nil if there is none.
func (s *stock) take() *peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.ready
	if p == nil {
		return nil
	}
	s.expiry.Stop()
	s.ready = nil
	if time.Since(p.gathering.began) >= stockAge {
		// The machine has slept, or the timer is about to fire.
		s.work.Go(p.close)
		return nil
	}
	return p
}

// dropLocked throws the ready connection away.
func (s *stock) dropLocked() {
	if s.ready == nil {
		return
	}
	s.expiry.Stop()
	s.work.Go(s.ready.close)
	s.ready = nil
}

// Close throws away what Prepare has made ready and waits until it is gone.
// Connections in use are not touched; a later Prepare does nothing.
func (e *Endpoint) Close() {
	s := &e.stock
	s.mu.Lock()
	s.closed = true
	s.dropLocked()
	s.mu.Unlock()
	s.work.Wait()
}
