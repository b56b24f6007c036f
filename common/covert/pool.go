package covert

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
)

// errIdle ends a connection that nobody needs.
var errIdle = errors.New("connection was idle")

// A clientConn is one connection to a host, of either protocol.
type clientConn interface {
	// openedAhead says, before anybody has the connection, that no request waits
	// for it: the host may have closed it by the time the first one comes.
	openedAhead()
	// reserve claims room for one request, to be used by one roundTrip.
	reserve() bool
	// roundTrip sends a request. The reply's body frees the room. A failure
	// that allows another try elsewhere wraps errStale.
	roundTrip(ctx context.Context, o *outgoing) (*http.Response, error)
	// idle reports whether no request is under way.
	idle() bool
	// close ends the connection and fails its requests with err. It may be
	// called more than once and does not wait.
	close(err error)
}

// A host holds the connections to one scheme, name and port. Guarded by the
// Transport's mu.
type host struct {
	conns   []clientConn
	dialing *dialing
	http1   bool // the last connection spoke HTTP/1.1: one request each
}

// A dialing is a dial under way, which several requests may wait for.
type dialing struct {
	done  chan struct{}
	err   error // set before done is closed
	early bool  // begun by Connect, and no request waits for it yet; guarded by the Transport's mu
}

func (h *host) all() []clientConn { return slices.Clone(h.conns) }

// takeIdle removes and returns the connections without a request.
func (h *host) takeIdle() []clientConn {
	var idle []clientConn
	h.conns = slices.DeleteFunc(h.conns, func(c clientConn) bool {
		if !c.idle() {
			return false
		}
		idle = append(idle, c)
		return true
	})
	return idle
}

// reserve claims room on a kept connection, the youngest first.
func (h *host) reserve() clientConn {
	for _, c := range slices.Backward(h.conns) {
		if c.reserve() {
			return c
		}
	}
	return nil
}

// acquire returns a connection to u's host with room claimed for one request.
// Like a browser it waits for a dial under way instead of starting another,
// until the host is known to speak HTTP/1.1.
func (t *Transport) acquire(ctx context.Context, u *url.URL) (clientConn, error) {
	addr, err := address(u)
	if err != nil {
		return nil, err
	}
	for {
		t.mu.Lock()
		if t.closed {
			t.mu.Unlock()
			return nil, ErrClosed
		}
		h := t.hostLocked(u, addr)
		if c := h.reserve(); c != nil {
			t.mu.Unlock()
			return c, nil
		}
		d := h.dialing
		if d == nil || h.http1 && !d.early {
			d = t.dialLocked(h, u, addr)
		}
		d.early = false
		t.mu.Unlock()
		select {
		case <-d.done:
			if d.err != nil {
				return nil, d.err
			}
		case <-ctx.Done():
			return nil, &DialError{Addr: addr, Err: context.Cause(ctx)}
		}
	}
}

// Connect begins to open a connection to u's host for a request that will soon
// follow, as browsers do for links they expect to be followed, unless there is a
// connection already. It returns at once; a failure shows in the request. The
// connection is kept for IdleTimeout.
func (t *Transport) Connect(u *url.URL) {
	addr, err := address(u)
	if err != nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	if h := t.hostLocked(u, addr); len(h.conns) == 0 && h.dialing == nil {
		t.dialLocked(h, u, addr).early = true
	}
}

// hostLocked returns the entry for u's host.
func (t *Transport) hostLocked(u *url.URL, addr string) *host {
	key := u.Scheme + "://" + addr
	h := t.hosts[key]
	if h == nil {
		h = new(host)
		t.hosts[key] = h
	}
	return h
}

// dialLocked starts to make a connection for h.
func (t *Transport) dialLocked(h *host, u *url.URL, addr string) *dialing {
	d := &dialing{done: make(chan struct{})}
	h.dialing = d
	t.work.Go(func() { t.dial(h, d, u, addr) })
	return d
}

// address returns the host:port that a request to u is sent to.
func address(u *url.URL) (string, error) {
	port := u.Port()
	switch {
	case u.Hostname() == "":
		return "", errors.New("no host in the URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return "", fmt.Errorf("scheme %q is not http or https", u.Scheme)
	case port == "" && u.Scheme == "http":
		port = "80"
	case port == "":
		port = "443"
	}
	return net.JoinHostPort(u.Hostname(), port), nil
}

// dial makes one connection for h and tells the waiters of d.
func (t *Transport) dial(h *host, d *dialing, u *url.URL, addr string) {
	ctx, cancel := context.WithTimeoutCause(t.life, t.options.DialTimeout,
		fmt.Errorf("no answer within %v: %w", t.options.DialTimeout, context.DeadlineExceeded))
	defer cancel()
	conn, err := t.connect(ctx, h, u, addr)

	t.mu.Lock()
	switch {
	case err != nil:
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		d.err = &DialError{Addr: addr, Err: err}
	case t.closed:
		d.err = ErrClosed
	default:
		if d.early {
			conn.openedAhead()
		}
		h.conns = append(h.conns, conn)
		_, h.http1 = conn.(*h1Conn)
	}
	if h.dialing == d {
		h.dialing = nil
	}
	failed := d.err
	t.mu.Unlock()
	if err == nil && failed != nil {
		conn.close(failed)
	}
	close(d.done)
}

// connect dials addr and starts the protocol that was agreed on.
func (t *Transport) connect(ctx context.Context, h *host, u *url.URL, addr string) (clientConn, error) {
	if u.Scheme == "http" {
		conn, err := t.dialPlain(ctx, addr)
		if err != nil {
			return nil, err
		}
		return newH1Conn(t, h, conn), nil
	}
	conn, alpn, err := t.dialTLS(ctx, addr, u.Hostname())
	if err != nil {
		return nil, err
	}
	switch alpn {
	case "h2":
		return newH2Conn(t, h, conn), nil
	case "", "http/1.1":
		return newH1Conn(t, h, conn), nil
	}
	_ = conn.Close() // nothing was sent
	return nil, fmt.Errorf("the server chose protocol %q", alpn)
}

// forget takes c, which has ended, from h.
func (t *Transport) forget(h *host, c clientConn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	h.conns = slices.DeleteFunc(h.conns, func(other clientConn) bool { return other == c })
}
