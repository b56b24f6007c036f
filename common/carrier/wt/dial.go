package wt

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/webtransport-go"
)

const (
	// defaultHandshakeTimeout leaves time for a WebSocket, where UDP does not
	// pass.
	defaultHandshakeTimeout = 10 * time.Second

	// addressTimeout is for one of several addresses to say its first word.
	addressTimeout = 3 * time.Second

	// idleTimeout is for an end that is gone without a word.
	idleTimeout = time.Minute

	// defaultPort is that of https.
	defaultPort = 443
)

// DialOptions say how a session is reached. The zero value uses the system's
// roots of trust.
type DialOptions struct {
	// Allow, if set, says which addresses may be dialled. It is asked after all
	// name resolution.
	Allow func(netip.Addr) error

	// TLSConfig is cloned; nil means the defaults.
	TLSConfig *tls.Config

	// HandshakeTimeout bounds everything until the stream is open; 0 means 10 s.
	HandshakeTimeout time.Duration
}

// Dial opens a session at u (scheme https) and its stream. User information in u
// is not sent and redirects are not followed. ctx bounds the making only.
func Dial(ctx context.Context, u *url.URL, o DialOptions) (*Conn, error) {
	if u.Scheme != "https" {
		return nil, fmt.Errorf("dial WebTransport: scheme %q is not https", u.Scheme)
	}
	timeout := o.HandshakeTimeout
	if timeout == 0 {
		timeout = defaultHandshakeTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	addrs, err := o.resolve(ctx, u)
	if err != nil {
		return nil, fmt.Errorf("dial WebTransport: %w", err)
	}
	var faults []error
	for _, a := range addrs {
		c, err := o.dial(ctx, u, a)
		if err == nil {
			return c, nil
		}
		faults = append(faults, err)
	}
	return nil, fmt.Errorf("dial WebTransport: %w", errors.Join(faults...))
}

// resolve returns the addresses of u's host that may be dialled, and an error if
// there is none.
func (o *DialOptions) resolve(ctx context.Context, u *url.URL) ([]netip.AddrPort, error) {
	port := uint64(defaultPort)
	if text := u.Port(); text != "" {
		var err error
		if port, err = strconv.ParseUint(text, 10, 16); err != nil {
			return nil, fmt.Errorf("port: %w", err)
		}
	}
	all, err := net.DefaultResolver.LookupNetIP(ctx, "ip", u.Hostname())
	if err != nil {
		return nil, err
	}
	var addrs []netip.AddrPort
	var faults []error
	for _, a := range all {
		if o.Allow != nil {
			if err := o.Allow(a); err != nil {
				faults = append(faults, err)
				continue
			}
		}
		addrs = append(addrs, netip.AddrPortFrom(a.Unmap(), uint16(port)))
	}
	if len(addrs) == 0 {
		return nil, errors.Join(faults...)
	}
	return addrs, nil
}

// dial does the same at one address, from a socket of its own.
func (o *DialOptions) dial(ctx context.Context, u *url.URL, to netip.AddrPort) (*Conn, error) {
	socket, err := net.ListenUDP("udp", nil)
	if err != nil {
		return nil, err
	}
	transport := &quic.Transport{Conn: socket}
	release := func() {
		transport.Close()
		socket.Close()
	}
	conn, err := transport.Dial(ctx, net.UDPAddrFromAddrPort(to), o.tlsConfig(u.Hostname()), &quic.Config{
		HandshakeIdleTimeout:             addressTimeout,
		MaxIdleTimeout:                   idleTimeout,
		InitialStreamReceiveWindow:       initialWindow,
		InitialConnectionReceiveWindow:   initialWindow,
		MaxStreamReceiveWindow:           maxWindow,
		MaxConnectionReceiveWindow:       maxWindow,
		MaxIncomingStreams:               -1, // the server opens none
		MaxIncomingUniStreams:            uniStreams,
		EnableDatagrams:                  true,
		EnableStreamResetPartialDelivery: true,
	})
	if err != nil {
		release()
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.CloseWithError(noError, "") }) // the library waits without ctx
	session, stream, err := open(ctx, conn, u)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		conn.CloseWithError(noError, "")
		release()
		return nil, err
	}
	return newConn(session, stream, func() {
		conn.CloseWithError(noError, "")
		release()
	}), nil
}

func (o *DialOptions) tlsConfig(host string) *tls.Config {
	cfg := &tls.Config{}
	if o.TLSConfig != nil {
		cfg = o.TLSConfig.Clone()
	}
	if cfg.ServerName == "" {
		cfg.ServerName = host
	}
	cfg.NextProtos = []string{http3.NextProtoH3}
	return cfg
}

// open opens session and stream on a connection.
func open(ctx context.Context, conn *quic.Conn, u *url.URL) (*webtransport.Session, *webtransport.Stream, error) {
	client, err := (&webtransport.Transport{}).NewClientConn(conn)
	if err != nil {
		return nil, nil, err
	}
	target := *u
	target.User, target.Fragment, target.RawFragment = nil, "", ""
	// An empty value keeps the library's own name off the request.
	_, session, err := client.Dial(ctx, target.String(), http.Header{"User-Agent": {""}})
	if err != nil {
		return nil, nil, err
	}
	stream, err := session.OpenStreamSync(ctx)
	if err != nil {
		return nil, nil, err
	}
	_, err = stream.Write(nil) // tells the server that it is there
	return session, stream, err
}
