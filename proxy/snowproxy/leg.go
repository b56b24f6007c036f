package snowproxy

import (
	"context"
	"net/netip"
	"net/url"

	"flurry/common/carrier"
)

// A leg is the way to the relay of one client. It is begun when the broker has
// taken the answer, while ICE still looks for a path to the client, so that the
// client's first byte does not wait for a TCP, a TLS and a WebSocket handshake.
// Most of the clients whose answer was delivered do come; for the others the
// relay sees a WebSocket that says nothing and goes.
type leg struct {
	upstream Upstream
	relay    *url.URL
	client   netip.Addr

	cancel context.CancelFunc
	dialed chan struct{} // closed when the two below are set
	conn   *listening
	err    error
}

// startLeg begins to connect. The caller ends the leg with take or abandon.
func startLeg(ctx context.Context, up Upstream, relay *url.URL, client netip.Addr) *leg {
	ctx, cancel := context.WithCancel(ctx)
	l := &leg{upstream: up, relay: relay, client: client, cancel: cancel, dialed: make(chan struct{})}
	go func() {
		defer close(l.dialed)
		l.conn, l.err = l.connect(ctx)
	}()
	return l
}

func (l *leg) connect(ctx context.Context) (*listening, error) {
	c, err := l.upstream.Connect(ctx, l.relay, l.client)
	if err != nil {
		return nil, err
	}
	return listen(c), nil
}

// take returns the carrier to the relay once it is open, or gives up with ctx.
// If the early one has failed, or the relay has lost patience with it, take
// connects once more.
func (l *leg) take(ctx context.Context) (carrier.Conn, error) {
	defer l.cancel()
	select {
	case <-l.dialed:
	case <-ctx.Done():
		l.abandon()
		return nil, ctx.Err()
	}
	if l.err == nil && !l.conn.over() {
		return l.conn, nil
	}
	if l.err == nil {
		l.conn.Close()
	}
	c, err := l.connect(ctx)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// abandon gives the leg up.
func (l *leg) abandon() {
	l.cancel()
	<-l.dialed
	if l.err == nil {
		l.conn.Close()
	}
}

// listening is a carrier whose first Recv is under way from the beginning:
// carriers notice their end by receiving, and one that waits for its client
// must notice.
type listening struct {
	carrier.Conn
	first chan struct{} // closed when the two below are set
	msg   []byte        // what the first Recv gave; nil if nothing
	err   error

	passed bool // the first Recv's result has been handed on; used by Recv only
}

func listen(c carrier.Conn) *listening {
	l := &listening{Conn: c, first: make(chan struct{})}
	go func() {
		defer close(l.first)
		buf := make([]byte, pumpBuffer)
		n, err := c.Recv(buf)
		if n > 0 {
			l.msg = buf[:n]
		}
		l.err = err
	}()
	return l
}

// over reports whether the carrier has ended without a message.
func (l *listening) over() bool {
	select {
	case <-l.first:
		return l.err != nil && l.msg == nil
	default:
		return false
	}
}

// Recv implements carrier.Conn.
func (l *listening) Recv(buf []byte) (int, error) {
	if l.passed {
		return l.Conn.Recv(buf)
	}
	<-l.first
	if len(l.msg) > 0 {
		n := copy(buf, l.msg)
		l.msg = l.msg[n:]
		return n, nil
	}
	l.msg = nil // frees the buffer
	l.passed = l.err == nil
	if !l.passed {
		return 0, l.err
	}
	return l.Conn.Recv(buf)
}

// Close implements carrier.Conn. It returns when the first Recv has.
func (l *listening) Close() error {
	err := l.Conn.Close()
	<-l.first
	return err
}
