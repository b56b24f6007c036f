package wt

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/webtransport-go"
)

// A Waiting room knows the connections that are not yet carriers, and may close
// some of them when there are too many. Keys are compared.
type Waiting interface {
	Add(c io.Closer)
	Remove(c io.Closer)
}

// ServerConfig says how a Server serves. All fields are required.
type ServerConfig struct {
	// TLSConfig has the certificate, as for a TLS listener. It is cloned.
	TLSConfig *tls.Config

	// Handle gets each carrier and the URL that was asked for, on a goroutine of
	// its own. It owns the carrier, and returns once that is no longer to wait in
	// the Waiting room.
	Handle func(c *Conn, u *url.URL)

	// Failed is told why no more connections come, unless Refuse or Close is why.
	Failed func(err error)

	// Waiting has each connection from the end of its handshake until Handle has
	// returned.
	Waiting Waiting

	MaxConns       int           // QUIC connections, whatever their state
	OpenTimeout    time.Duration // for the handshake, and again from there to the stream
	IdleTimeout    time.Duration // without any packet from the other end
	MaxHeaderBytes int           // of a request
}

// A Server takes WebTransport sessions of any Origin and on any path from one
// UDP socket, one from each QUIC connection.
type Server struct {
	// fixed after construction
	cfg   ServerConfig
	wt    webtransport.Server
	door  *door
	tasks sync.WaitGroup // the connections

	transport quic.Transport
	listener  *quic.EarlyListener
}

// Listen serves by cfg on pc until Close. It takes pc over, and closes it when it
// returns an error.
func Listen(pc net.PacketConn, cfg ServerConfig) (*Server, error) {
	s := &Server{cfg: cfg, door: newDoor(cfg.MaxConns)}
	s.wt = webtransport.Server{
		H3:                &http3.Server{Handler: http.HandlerFunc(s.serveHTTP), MaxHeaderBytes: cfg.MaxHeaderBytes},
		CheckOrigin:       func(*http.Request) bool { return true }, // volunteers' pages are foreign ones
		ReorderingTimeout: cfg.OpenTimeout,
	}
	webtransport.ConfigureHTTP3Server(s.wt.H3)
	s.transport = quic.Transport{
		Conn:        pc,
		ConnContext: s.door.enter,
		// Nothing is kept, and nothing larger sent, for an address from which
		// nobody has answered (RFC 9000, section 8.1.2). It costs a round trip,
		// which makes as many as TCP, TLS and the upgrade of a WebSocket take.
		VerifySourceAddress: func(net.Addr) bool { return true },
	}
	config := cfg.TLSConfig.Clone()
	config.MinVersion = tls.VersionTLS13
	config.NextProtos = []string{http3.NextProtoH3}
	var err error
	if s.listener, err = s.transport.ListenEarly(config, s.quicConfig()); err != nil {
		pc.Close()
		return nil, err
	}
	s.tasks.Go(s.accept)
	return s, nil
}

// quicConfig bounds what a connection may cost.
func (s *Server) quicConfig() *quic.Config {
	return &quic.Config{
		HandshakeIdleTimeout:           s.cfg.OpenTimeout / 2, // doubled, it bounds the handshake as a whole
		MaxIdleTimeout:                 s.cfg.IdleTimeout,
		InitialStreamReceiveWindow:     initialWindow,
		InitialConnectionReceiveWindow: initialWindow,
		MaxStreamReceiveWindow:         maxWindow,
		MaxConnectionReceiveWindow:     maxWindow,
		AllowConnectionWindowIncrease:  func(conn *quic.Conn, delta uint64) bool { return guestOf(conn).widen(int64(delta)) },
		// The request that opens the session, and the carrier. For more the other
		// end gets no credit, and loses the connection if it takes it.
		MaxIncomingStreams:    2,
		MaxIncomingUniStreams: uniStreams,
		// WebTransport demands both, though nobody here uses datagrams.
		EnableDatagrams:                  true,
		EnableStreamResetPartialDelivery: true,
	}
}

// accept takes connections until Refuse.
func (s *Server) accept() {
	for {
		conn, err := s.listener.Accept(context.Background())
		if err != nil {
			if !errors.Is(err, quic.ErrServerClosed) {
				s.cfg.Failed(err)
			}
			return
		}
		s.tasks.Go(func() { s.serve(conn) })
	}
}

// halfOpen is a connection in the Waiting room.
type halfOpen struct{ conn *quic.Conn }

// Close implements io.Closer.
func (h *halfOpen) Close() error {
	return h.conn.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeExcessiveLoad), "")
}

// serve serves one connection until its end.
func (s *Server) serve(conn *quic.Conn) {
	g := guestOf(conn)
	g.in()
	g.waits = &halfOpen{conn}
	s.cfg.Waiting.Add(g.waits)
	defer s.cfg.Waiting.Remove(g.waits)
	g.late = time.AfterFunc(s.cfg.OpenTimeout, func() {
		conn.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeRequestIncomplete), "")
	})
	defer g.late.Stop()
	if err := s.wt.ServeQUICConn(conn); err != nil { // that it was too late, or the connection gone at once
		conn.CloseWithError(noError, "")
	}
}

// serveHTTP makes a session of the request and a carrier of its first stream.
// Anything else is refused, and its connection ends when its time is up.
func (s *Server) serveHTTP(w http.ResponseWriter, r *http.Request) {
	session, err := s.wt.Upgrade(w, r)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	stream, err := session.AcceptStream(r.Context())
	g, ok := r.Context().Value(guestKey{}).(*guest)
	if err != nil || !ok || !g.late.Stop() {
		session.CloseWithError(0, "")
		return
	}
	defer s.cfg.Waiting.Remove(g.waits)
	s.cfg.Handle(newConn(session, stream, func() { g.waits.conn.CloseWithError(noError, "") }), r.URL)
}

// Refuse ends the taking of connections; those that are there stay.
func (s *Server) Refuse() { s.listener.Close() }

// Close ends everything at once and returns when all goroutines have ended,
// Handle included. It may be called twice.
func (s *Server) Close() error {
	s.Refuse()
	s.wt.Close()
	s.tasks.Wait()
	err := s.transport.Close()
	if closed := s.transport.Conn.Close(); err == nil && !errors.Is(closed, net.ErrClosed) {
		err = closed
	}
	return err
}
