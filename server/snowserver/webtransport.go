package snowserver

import (
	"context"
	"net"
	"net/url"

	"flurry/common/carrier/wt"
)

// listenWebTransport takes WebTransport too, at the UDP port of the same number as
// the TCP address addr: a volunteer that gets no answer there knows the WebSocket
// as well.
func (e *edge) listenWebTransport(ctx context.Context, addr net.Addr) error {
	var lc net.ListenConfig
	socket, err := lc.ListenPacket(ctx, "udp", addr.String())
	if err != nil {
		return err // says what could not be done, and where
	}
	e.quic, err = wt.Listen(socket, wt.ServerConfig{
		TLSConfig:      e.cfg.TLSConfig,
		Handle:         e.serveWebTransport,
		Failed:         e.webTransportFailed,
		Waiting:        e.waiting,
		MaxConns:       e.cfg.MaxHalfOpen + e.cfg.MaxSessions,
		OpenTimeout:    e.cfg.HeaderTimeout,
		IdleTimeout:    deadAfter,
		MaxHeaderBytes: maxHeaderBytes,
	})
	return err
}

// serveWebTransport opens one carrier.
func (e *edge) serveWebTransport(c *wt.Conn, u *url.URL) {
	if !e.begin() {
		c.Close()
		return
	}
	defer e.tasks.Done()
	e.open(c, u)
}

// webTransportFailed tells the operator; whoever comes by WebSocket is still served.
func (e *edge) webTransportFailed(err error) {
	e.cfg.Logger.Error("no more WebTransport connections are accepted", "error", err)
}
