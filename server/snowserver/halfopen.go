package snowserver

import (
	"container/list"
	"crypto/tls"
	"io"
	"sync"

	"flurry/common/carrier/wt"
)

// halfOpen bounds the connections that have not yet become carriers, be it
// that TLS, the upgrade request or the prelude is missing, whether they came over
// TCP or QUIC. When there is one too many, the oldest is closed: a flood of
// connections that say nothing then costs honest ones only if it renews all of
// them within a round trip.
type halfOpen struct {
	limit int // fixed

	mu    sync.Mutex
	queue list.List                   // of io.Closer, oldest first; guarded by mu
	place map[io.Closer]*list.Element // guarded by mu
}

var _ wt.Waiting = (*halfOpen)(nil)

func newHalfOpen(limit int) *halfOpen {
	return &halfOpen{limit: limit, place: make(map[io.Closer]*list.Element)}
}

// Add notes a new connection.
func (h *halfOpen) Add(c io.Closer) {
	old := h.push(c)
	if t, ok := old.(*tls.Conn); ok {
		old = t.NetConn() // its own Close would say goodbye, and may wait to
	}
	if old != nil {
		old.Close()
	}
}

// push returns the connection that has to go for c, or nil.
func (h *halfOpen) push(c io.Closer) (old io.Closer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.place[c] = h.queue.PushBack(c)
	if h.queue.Len() > h.limit {
		old = h.queue.Remove(h.queue.Front()).(io.Closer)
		delete(h.place, old)
	}
	return old
}

// Remove forgets a connection that is closed or has become a carrier.
func (h *halfOpen) Remove(c io.Closer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e, ok := h.place[c]; ok {
		h.queue.Remove(e)
		delete(h.place, c)
	}
}
