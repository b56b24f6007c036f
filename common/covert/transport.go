package covert

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// defaultDialTimeout bounds name lookup, TCP and TLS together. Two lost
	// packets in a row (1 s, then 2 s of retransmission) still fit.
	defaultDialTimeout = 5 * time.Second
	// defaultTimeout bounds a request from RoundTrip to the end of the reply's
	// body. A broker holds a poll up to 10 s.
	defaultTimeout = 30 * time.Second
	// defaultIdleTimeout is how long a connection waits for the next request;
	// browsers and the large CDNs keep them between one and five minutes.
	defaultIdleTimeout = 75 * time.Second
	// maxRequestBody bounds a request's body, which is held in memory. The
	// protocol's largest is 100 000 bytes.
	maxRequestBody = 1 << 20
	// maxHeaderBytes bounds the headers of a reply.
	maxHeaderBytes = 64 << 10
	// maxAttempts is how often one request is sent at most: the first time and
	// after kept connections turned out to be dead.
	maxAttempts = 3
)

// Options configures a Transport. The zero value works.
type Options struct {
	// Hello names the browser to imitate, see HelloNames; empty means Chromium.
	Hello string
	// NoSNI leaves the server name out of the TLS hello. The certificate is
	// verified for the name all the same.
	NoSNI bool
	// RootCAs are the trusted roots; nil means Roots(), read when the first TLS
	// connection is made.
	RootCAs *x509.CertPool
	// DialContext makes TCP connections; nil means a plain net.Dialer. The
	// context it gets ends with the Transport and after DialTimeout.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	// DialTimeout bounds dial and TLS handshake together; 0 means 5 s.
	DialTimeout time.Duration
	// Timeout bounds a request, until its reply's body is read; 0 means 30 s.
	Timeout time.Duration
	// IdleTimeout is how long an unused connection is kept; 0 means 75 s.
	IdleTimeout time.Duration
}

// A Transport is an http.RoundTripper that looks like a browser. It follows no
// redirects, keeps no cookies and uses no proxy of the environment. All methods
// may be called at once. Its owner calls Close.
type Transport struct {
	// fixed after construction
	options Options
	hello   hello
	roots   func() *x509.CertPool
	life    context.Context // ends with Close
	end     context.CancelFunc
	work    sync.WaitGroup // dials and connections

	mu     sync.Mutex
	closed bool
	hosts  map[string]*host // by scheme://host:port
	p256   map[string]bool  // by host:port: servers that take no newer curve
}

// NewTransport checks o and returns a Transport.
func NewTransport(o Options) (*Transport, error) {
	h, ok := lookupHello(o.Hello)
	if !ok {
		return nil, fmt.Errorf("unknown TLS imitation %q", o.Hello)
	}
	if o.DialContext == nil {
		o.DialContext = new(net.Dialer).DialContext
	}
	for _, d := range []struct {
		value    *time.Duration
		fallback time.Duration
	}{{&o.DialTimeout, defaultDialTimeout}, {&o.Timeout, defaultTimeout}, {&o.IdleTimeout, defaultIdleTimeout}} {
		if *d.value <= 0 {
			*d.value = d.fallback
		}
	}
	t := &Transport{options: o, hello: h, hosts: make(map[string]*host), p256: make(map[string]bool)}
	t.roots = func() *x509.CertPool { return o.RootCAs }
	if o.RootCAs == nil {
		t.roots = sync.OnceValue(Roots) // some 25 ms of parsing
	}
	t.life, t.end = context.WithCancel(context.Background())
	return t, nil
}

// RoundTrip sends req and returns the reply once its headers are there. The
// body of req is read into memory first, at most 1 MiB. The caller closes the
// reply's body, which ends early when the Timeout of the Options passes. A body
// compressed in a way the imitated browser offers is decompressed as it is read,
// so a reader must bound what it takes.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := readBody(req)
	if err != nil {
		return nil, fmt.Errorf("read request body: %w", err)
	}
	out, err := newOutgoing(req, body)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(req.Context(), t.options.Timeout,
		fmt.Errorf("no answer within %v: %w", t.options.Timeout, context.DeadlineExceeded))
	resp, err := t.send(ctx, req, out)
	if err != nil {
		cancel()
		return nil, err
	}
	resp.Request = req
	resp.Body = &closingBody{ReadCloser: resp.Body, cancel: cancel}
	if req.Header.Get("Accept-Encoding") == "" {
		decode(resp)
	}
	return resp, nil
}

// send tries connections until one takes the request.
func (t *Transport) send(ctx context.Context, req *http.Request, out *outgoing) (*http.Response, error) {
	for attempt := 1; ; attempt++ {
		conn, err := t.acquire(ctx, req.URL)
		if err != nil {
			return nil, err
		}
		resp, err := conn.roundTrip(ctx, out)
		if err == nil {
			return resp, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if attempt == maxAttempts || !errors.Is(err, errStale) {
			return nil, err
		}
	}
}

// CloseIdleConnections ends the connections that carry no request now.
func (t *Transport) CloseIdleConnections() {
	t.mu.Lock()
	var idle []clientConn
	for _, h := range t.hosts {
		idle = append(idle, h.takeIdle()...)
	}
	t.mu.Unlock()
	for _, c := range idle {
		c.close(errIdle)
	}
}

// Close ends all connections and requests and returns when every goroutine of
// the Transport has ended.
func (t *Transport) Close() error {
	t.mu.Lock()
	t.closed = true
	var all []clientConn
	for _, h := range t.hosts {
		all = append(all, h.all()...)
	}
	t.mu.Unlock()
	t.end()
	for _, c := range all {
		c.close(ErrClosed)
	}
	t.work.Wait()
	return nil
}

// readBody takes the whole body of req and closes it.
func readBody(req *http.Request) ([]byte, error) {
	if req.Body == nil {
		return nil, nil
	}
	body, err := io.ReadAll(io.LimitReader(req.Body, maxRequestBody+1))
	if closeErr := req.Body.Close(); err == nil {
		err = closeErr
	}
	if err == nil && len(body) > maxRequestBody {
		err = fmt.Errorf("longer than %d bytes", maxRequestBody)
	}
	return body, err
}

// A closingBody ends the request's context with its body.
type closingBody struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (b *closingBody) Close() error {
	err := b.ReadCloser.Close()
	b.cancel()
	return err
}
