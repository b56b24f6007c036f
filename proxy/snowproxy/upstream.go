package snowproxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"

	"flurry/common/carrier"
	"flurry/common/carrier/ws"
	"flurry/common/carrier/wt"
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

	// quicHandshake bounds the way to an open WebTransport session, behind which
	// the WebSocket waits: three round trips, one packet lost.
	quicHandshake = 3 * time.Second

	// tcpKeepAlive lets the kernel find relays that are gone without a word.
	tcpKeepAlive = 30 * time.Second
)

// errNoUDP is why there is no WebTransport through an HTTP proxy.
var errNoUDP = errors.New("an HTTP proxy carries no QUIC")

// dialer is the Upstream of the deployed network, and of relays whose URL asks
// for WebTransport.
type dialer struct {
	allowPrivate bool
	ownHost      string // the operator's own relay, if it is private by its very name: always allowed
	proxy        func(*http.Request) (*url.URL, error)
	tls          *tls.Config // nil means the defaults
}

func newDialer(cfg Config) dialer {
	d := dialer{allowPrivate: cfg.AllowPrivateRelays, proxy: cfg.HTTPProxy}
	if u, err := url.Parse(cfg.RelayURL); err == nil {
		a, err := netip.ParseAddr(u.Hostname())
		if u.Hostname() == "localhost" || err == nil && isPrivate(a) {
			d.ownHost = u.Host
		}
	}
	return d
}

// Connect implements Upstream. A relay with https that is not reached so has a
// WebSocket at the same place (doc/wire.md, appendix H).
func (d dialer) Connect(ctx context.Context, relay *url.URL, client netip.Addr) (carrier.Conn, error) {
	u := withClient(relay, client)
	var first error
	if u.Scheme == "https" {
		c, err := d.webTransport(ctx, u)
		if err == nil {
			return c, nil
		}
		first, u.Scheme = err, "wss"
	}
	c, err := d.webSocket(ctx, u)
	if err != nil {
		return nil, fmt.Errorf("connect to relay: %w", errors.Join(first, err))
	}
	return c, nil
}

func (d dialer) webTransport(ctx context.Context, u *url.URL) (*wt.Conn, error) {
	if d.viaProxy(u) {
		return nil, errNoUDP
	}
	o := wt.DialOptions{TLSConfig: d.tls, HandshakeTimeout: quicHandshake}
	if !d.mayBePrivate(u) {
		o.Allow = publicOnly
	}
	return wt.Dial(ctx, u, o)
}

func (d dialer) webSocket(ctx context.Context, u *url.URL) (*ws.Conn, error) {
	tcp := &net.Dialer{KeepAlive: tcpKeepAlive}
	if !d.mayBePrivate(u) && !d.viaProxy(u) {
		tcp.ControlContext = guard
	}
	return ws.Dial(ctx, u, ws.DialOptions{
		DialContext:      tcp.DialContext,
		Proxy:            d.proxy,
		TLSConfig:        d.tls,
		HandshakeTimeout: relayHandshake,
	})
}

// mayBePrivate reports whether u's address may be a private one.
func (d dialer) mayBePrivate(u *url.URL) bool { return d.allowPrivate || u.Host == d.ownHost }

// viaProxy reports whether an HTTP proxy of the operator's stands between us
// and relay. The dialler then sees the proxy's address, which may well be
// private, and never the relay's: only literal addresses have been checked.
func (d dialer) viaProxy(relay *url.URL) bool {
	if d.proxy == nil {
		return false
	}
	u := *relay
	u.Scheme = map[string]string{"ws": "http", "wss": "https", "https": "https"}[u.Scheme]
	through, err := d.proxy(&http.Request{URL: &u})
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
	return publicOnly(a.Addr())
}

func publicOnly(a netip.Addr) error {
	if isPrivate(a) {
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
