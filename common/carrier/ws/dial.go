package ws

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// defaultHandshakeTimeout is the deployed proxy's (spec section 8.1).
const defaultHandshakeTimeout = 45 * time.Second

// DialOptions say how a WebSocket is reached. The zero value connects directly
// with the system's roots of trust.
type DialOptions struct {
	// DialContext opens the TCP connection; nil means a plain net.Dialer.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)

	// Proxy names an HTTP or SOCKS5 proxy for a request, as in http.Transport;
	// nil means none.
	Proxy func(*http.Request) (*url.URL, error)

	// TLSConfig is for wss URLs; nil means the defaults. It is cloned.
	TLSConfig *tls.Config

	// HandshakeTimeout bounds everything until the upgrade is done; 0 means 45 s.
	HandshakeTimeout time.Duration
}

// errRedirect is why a redirecting server is not followed: the URL was checked
// against the volunteer's policy, the place it points to was not.
var errRedirect = errors.New("the server answered with a redirect, which is not followed")

// Dial opens a WebSocket to u (scheme ws or wss). User information in u is not
// sent and redirects are not followed.
func Dial(ctx context.Context, u *url.URL, o DialOptions) (*Conn, error) {
	if u.Scheme != "ws" && u.Scheme != "wss" {
		return nil, fmt.Errorf("dial WebSocket: scheme %q is neither ws nor wss", u.Scheme)
	}
	timeout := o.HandshakeTimeout
	if timeout == 0 {
		timeout = defaultHandshakeTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	var tap connTap
	tr := o.transport(&tap)
	defer tr.CloseIdleConnections()
	target := *u
	target.User = nil
	c, _, err := websocket.Dial(ctx, target.String(), &websocket.DialOptions{
		HTTPClient: &http.Client{
			Transport:     tr,
			CheckRedirect: func(*http.Request, []*http.Request) error { return errRedirect },
		},
		// An empty value keeps Go's own name off the request; browsers' and
		// deployed proxies' names differ and none is required.
		HTTPHeader:      http.Header{"User-Agent": {""}},
		CompressionMode: websocket.CompressionDisabled,
	})
	if err != nil {
		if w := tap.get(); w != nil {
			w.finish()
		}
		return nil, fmt.Errorf("dial WebSocket: %w", err)
	}
	return newConn(c, tap.get()), nil
}

func (o *DialOptions) transport(tap *connTap) *http.Transport {
	dial := o.DialContext
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	cfg := &tls.Config{}
	if o.TLSConfig != nil {
		cfg = o.TLSConfig.Clone()
	}
	cfg.NextProtos = []string{"http/1.1"} // deployed servers also advertise h2, which cannot carry the upgrade
	return &http.Transport{
		Proxy: o.Proxy,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := dial(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			w := newWire(c)
			tap.set(w)
			return w, nil
		},
		TLSClientConfig:        cfg,
		DisableKeepAlives:      false, // an upgrade needs the connection kept
		MaxResponseHeaderBytes: 16 << 10,
	}
}

// connTap remembers the connection that a transport dialled. TLS is above it.
type connTap struct {
	mu sync.Mutex
	w  *wire
}

func (t *connTap) set(w *wire) { t.mu.Lock(); t.w = w; t.mu.Unlock() }

func (t *connTap) get() *wire { t.mu.Lock(); defer t.mu.Unlock(); return t.w }
