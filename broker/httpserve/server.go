package httpserve

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"
	"golang.org/x/sync/errgroup"

	"flurry/common/safelog"
)

// Bounds on what a peer can hold. The longest honest request is a proxy's poll:
// 10 s of waiting between a read and a write of moments.
const (
	// headerTimeout bounds the TLS handshake and the request header, and with
	// them a peer that sends a byte now and then.
	headerTimeout = 10 * time.Second

	// readTimeout bounds a request with its body, which is at most 100,000
	// bytes: 50 kbit/s is enough. Waiting after that does not count.
	readTimeout = 15 * time.Second

	// writeTimeout bounds reading, waiting and writing together: readTimeout,
	// 20 s for the probe service's longest wait, and time for a slow reader.
	writeTimeout = 60 * time.Second

	// idleTimeout is longer than the 60 s between polls of a browser proxy, so
	// that the next one finds its connection open.
	idleTimeout = 75 * time.Second

	// maxHeaderBytes is room for the headers a CDN adds, not for more.
	maxHeaderBytes = 16 << 10

	// HTTP/2: a front carries many clients over one connection, which wait
	// seconds each; and a stream's buffer holds a whole body of 100,000 bytes.
	maxStreams   = 1000
	streamBuffer = 128 << 10
	connBuffer   = 512 << 10

	// maxConns bounds the open connections; further ones wait to be accepted.
	// An idle one costs some 10 KB.
	maxConns = 65_536

	// drainTimeout bounds the wait for replies at shutdown: a matched client
	// waits 5 s at most.
	drainTimeout = 10 * time.Second
)

// A Server is a bound listener, or two with ACME, and what serves on it.
type Server struct {
	opts  Options
	log   *slog.Logger
	ln    net.Listener
	http  *http.Server
	certs *certFiles // with CertFile, else nil

	challenges     *http.Server // with ACME, else nil
	challengesAddr net.Listener
}

// Listen binds the address, and with ACME port 80 of the same host. From then
// on connections are accepted by the system; Serve must follow, or Close.
func Listen(o Options, h http.Handler, log *slog.Logger) (*Server, error) {
	return listen(o, h, log, letsEncrypt())
}

func listen(o Options, h http.Handler, log *slog.Logger, ca authority) (*Server, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	s := &Server{opts: o, log: log, http: newHTTPServer(h, log)}
	if err := s.setUpTLS(ca); err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", o.Addr)
	if err != nil {
		s.closeListeners()
		return nil, fmt.Errorf("listen: %w", err)
	}
	s.ln = netutil.LimitListener(ln, maxConns)
	return s, nil
}

func newHTTPServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          safelog.ErrorLog(log),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          maxStreams,
			MaxReceiveBufferPerStream:     streamBuffer,
			MaxReceiveBufferPerConnection: connBuffer,
		},
	}
}

// setUpTLS prepares what the options ask for.
func (s *Server) setUpTLS(ca authority) error {
	switch {
	case s.opts.DisableTLS:
		return nil
	case s.opts.CertFile != "":
		certs, err := newCertFiles(s.opts.CertFile, s.opts.KeyFile)
		if err != nil {
			return err
		}
		s.certs = certs
		s.http.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: certs.get}
		return nil
	}
	host, _, err := net.SplitHostPort(s.opts.Addr)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	manager := newACMEManager(s.opts, ca)
	s.http.TLSConfig = manager.TLSConfig()
	s.http.TLSConfig.MinVersion = tls.VersionTLS12
	s.challengesAddr, err = net.Listen("tcp", net.JoinHostPort(host, ca.challengePort))
	if err != nil {
		return fmt.Errorf("listen for ACME challenges: %w", err)
	}
	s.challenges = newHTTPServer(manager.HTTPHandler(nil), s.log)
	return nil
}

// Addr is the address that Listen bound.
func (s *Server) Addr() net.Addr { return s.ln.Addr() }

// Reload reads the certificate files again. If they cannot be read, the server
// keeps the certificate it has. Without files there is nothing to do.
func (s *Server) Reload() error {
	if s.certs == nil {
		return nil
	}
	return s.certs.load()
}

// Serve serves until ctx ends or a listener fails. At the end it accepts
// nothing more, calls stop so that the handlers know that they should come to
// an end, waits a bounded time for their replies and closes everything.
func (s *Server) Serve(ctx context.Context, stop func()) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if s.opts.DisableTLS {
			return served(s.http.Serve(s.ln))
		}
		return served(s.http.ServeTLS(s.ln, "", ""))
	})
	if s.challenges != nil {
		group.Go(func() error { return served(s.challenges.Serve(s.challengesAddr)) })
	}
	group.Go(func() error {
		<-ctx.Done()
		return s.shutdown(stop)
	})
	return group.Wait()
}

// shutdown ends both servers; Serve has been called.
func (s *Server) shutdown(stop func()) error {
	ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	if s.challenges != nil {
		s.challenges.Close()
	}
	s.ln.Close() // before stop, so that nobody comes after it
	stop()
	err := s.http.Shutdown(ctx)
	switch {
	case err == nil, errors.Is(err, net.ErrClosed): // by us, just above
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		s.http.Close()
		s.log.Warn("some requests were cut off at the end")
		return nil
	}
	return fmt.Errorf("shut down: %w", err)
}

// served is the error of a server's Serve method: its end on purpose is none.
func served(err error) error {
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return fmt.Errorf("serve: %w", err)
}

// Close gives up a Server that Serve was not called on.
func (s *Server) Close() { s.closeListeners() }

func (s *Server) closeListeners() {
	for _, ln := range []net.Listener{s.ln, s.challengesAddr} {
		if ln != nil {
			ln.Close()
		}
	}
}
