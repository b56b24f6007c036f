package snowclient

import (
	"context"
	"encoding/binary"
	"sync"
	"time"

	"flurry/common/carrier"
)

// KCP has no word for "I do not know you". A bridge that was restarted, or that
// gave our session up while we were asleep, takes the next packet for the
// beginning of another session with the same name, and waits for ever for the
// segments before it. What gives it away is that its packets acknowledge
// nothing (field una, spec section 7.3) after having acknowledged much.

const (
	kcpHeader = 24 // bytes; spec section 7.3
	kcpUNA    = 16 // where in the header

	// forgottenAfter is how long every packet must have told the same tale.
	// Packets of the first round trip that were overtaken tell it too.
	forgottenAfter = 2 * time.Second
)

// An ackWatch looks at what comes from the bridge on all paths of a session and
// calls forgotten, once, when the bridge does not know the session any more.
type ackWatch struct {
	forgotten func()

	// Guarded by mu.
	mu     sync.Mutex
	acked  uint32    // the furthest una so far
	behind time.Time // since when every una has been 0; zero if acked is
	called bool
}

// observe looks at one packet.
func (w *ackWatch) observe(packet []byte, now time.Time) {
	if len(packet) < kcpHeader {
		return
	}
	una := binary.LittleEndian.Uint32(packet[kcpUNA:])
	w.mu.Lock()
	call := false
	switch {
	case int32(una-w.acked) >= 0:
		w.acked, w.behind = una, time.Time{}
	case una != 0:
		w.behind = time.Time{} // overtaken, but it knows us
	case w.behind.IsZero():
		w.behind = now
	case now.Sub(w.behind) >= forgottenAfter && !w.called:
		call, w.called = true, true
	}
	w.mu.Unlock()
	if call {
		w.forgotten()
	}
}

// A watchedCarrier is a carrier of packets that shows what it receives to an
// ackWatch.
type watchedCarrier struct {
	carrier.Conn
	watch *ackWatch
}

// Recv implements carrier.Conn.
func (c *watchedCarrier) Recv(buf []byte) (int, error) {
	n, err := c.Conn.Recv(buf)
	if err == nil {
		c.watch.observe(buf[:n], time.Now())
	}
	return n, err
}

// SendBatch implements carrier.BatchSender.
func (c *watchedCarrier) SendBatch(ctx context.Context, msgs [][]byte) error {
	if b, ok := c.Conn.(carrier.BatchSender); ok {
		return b.SendBatch(ctx, msgs)
	}
	for _, m := range msgs {
		if err := c.Send(ctx, m); err != nil {
			return err
		}
	}
	return nil
}
