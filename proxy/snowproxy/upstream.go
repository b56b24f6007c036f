package snowproxy

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"

	"flurry/common/carrier"
	"flurry/common/carrier/ws"
)

// An Upstream connects one client's traffic to the bridge at relay. client is
// the client's address as its offer states it, invalid if unknown. The caller
// owns the Conn; ctx bounds the making of it only. Connect may be called from
// several goroutines.
type Upstream interface {
	Connect(ctx context.Context, relay *url.URL, client netip.Addr) (carrier.Conn, error)
}

const (
	// relayHandshake bounds the way to an open WebSocket (spec section 8.1).
	relayHandshake = 45 * time.Second

	// tcpKeepAlive lets the kernel find relays that are gone without a word.
	tcpKeepAlive = 30 * time.Second
)

// webSocket is the Upstream of the deployed network.
type webSocket struct {
	allowPrivate bool
	ownHost      string // the operator's own relay, if it is private by its very name: always allowed
	proxy        func(*http.Request) (*url.URL, error)
}

func newWebSocket(cfg Config) webSocket {
	w := webSocket{allowPrivate: cfg.AllowPrivateRelays, proxy: cfg.HTTPProxy}
	if u, err := url.Parse(cfg.RelayURL); err == nil {
		a, err := netip.ParseAddr(u.Hostname())
		if u.Hostname() == "localhost" || err == nil && isPrivate(a) {
			w.ownHost = u.Host
		}
	}
	return w
}

// Connect implements Upstream.
func (w webSocket) Connect(ctx context.Context, relay *url.URL, client netip.Addr) (carrier.Conn, error) {
	dialer := &net.Dialer{KeepAlive: tcpKeepAlive}
	if !w.allowPrivate && relay.Host != w.ownHost && !w.viaProxy(relay) {
		dialer.ControlContext = guard
	}
	c, err := ws.Dial(ctx, withClient(relay, client), ws.DialOptions{
		DialContext:      dialer.DialContext,
		Proxy:            w.proxy,
		HandshakeTimeout: relayHandshake,
	})
	if err != nil {
		return nil, fmt.Errorf("connect to relay: %w", err)
	}
	return c, nil
}

// viaProxy reports whether an HTTP proxy of the operator's stands between us
// and relay. The dialler then sees the proxy's address, which may well be
// private, and never the relay's: only literal addresses have been checked.
func (w webSocket) viaProxy(relay *url.URL) bool {
	if w.proxy == nil {
		return false
	}
	u := *relay
	u.Scheme = map[string]string{"ws": "http", "wss": "https"}[u.Scheme]
	through, err := w.proxy(&http.Request{URL: &u})
	return err == nil && through != nil
}

// guard refuses connections to private addresses. The dialler calls it with the
// address it is about to connect to, after all name resolution, so that a name
// under a stranger's control cannot point it into the operator's network.
func guard(_ context.Context, _, address string, _ syscall.RawConn) error {
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("relay address: %w", err)
	}
	if isPrivate(a.Addr()) {
		return errPrivateRelay
	}
	return nil
}

// withClient returns relay with client's address merged into the query, values
// encoded anew and keys sorted (spec section 8.1), and without what must not
// be sent: user information and fragment.
func withClient(relay *url.URL, client netip.Addr) *url.URL {
	u := *relay
	u.User, u.Fragment, u.RawFragment = nil, "", ""
	if client.IsValid() {
		q := u.Query()
		q.Set("client_ip", client.String())
		u.RawQuery = q.Encode()
	}
	return &u
}
