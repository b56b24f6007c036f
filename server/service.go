package main

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"flurry/server/snowserver"

	pt "gitlab.torproject.org/tpo/anti-censorship/pluggable-transports/goptlib"
)

// drainLimit is how long clients are given at the end to acknowledge that their
// streams are closed. It leaves more than a second of stopLimit for the rest.
const drainLimit = 700 * time.Millisecond

// errPortZero is the error that operators know (spec section 10.1).
var errPortZero = errors.New("cannot listen on port 0; configure a port using ServerTransportListenAddr")

// A service is one bound address: the listener and the relays of its streams.
type service struct {
	// fixed after construction
	listener  *snowserver.Listener
	responder *responder   // nil without ACME
	cert      *certificate // nil without -cert
	args      string       // for the SMETHOD line
	or        *orDialer
	relay     *relay
	broker    *broker // nil without -rendezvous-broker
	log       *slog.Logger

	ctx    context.Context // of the relays
	cancel context.CancelFunc

	loop   sync.WaitGroup // the accept loop
	relays sync.WaitGroup // grows in the accept loop only
}

// startService binds and serves. Its errors are fit for an SMETHOD-ERROR line.
func startService(ctx context.Context, o options, info *pt.ServerInfo, b pt.Bindaddr, log *slog.Logger) (*service, error) {
	if b.Addr.Port == 0 {
		return nil, errPortZero
	}
	t, err := parseTransportOptions(b.Options)
	if err != nil {
		return nil, err
	}
	s := &service{
		args:  smethodArgs(o),
		or:    &orDialer{info: info, source: t.source},
		relay: newRelay(),
		log:   log,
	}
	config, err := s.startTLS(ctx, o, b.Addr.IP)
	if err != nil {
		return nil, err
	}
	cfg := snowserver.Config{
		Addr:         b.Addr.String(),
		TLSConfig:    config,
		WebTransport: o.webTransport,
		Shards:       t.shards,
		Logger:       log,
	}
	if o.broker != "" {
		if s.broker, err = newBroker(o.broker); err == nil {
			cfg.Rendezvous = s.broker
		}
	}
	if err == nil {
		s.listener, err = snowserver.Listen(ctx, cfg)
	}
	if err != nil {
		if s.responder != nil {
			s.responder.stop()
		}
		return nil, err
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.loop.Go(s.accept)
	if s.broker != nil {
		s.loop.Go(s.report)
	}
	return s, nil
}

// startTLS makes ready what o says about certificates. It returns nil without
// TLS.
func (s *service) startTLS(ctx context.Context, o options, ip net.IP) (*tls.Config, error) {
	switch {
	case o.disableTLS:
		return nil, nil
	case o.cert != "":
		var err error
		if s.cert, err = loadCertificate(o.cert, o.key); err != nil {
			return nil, err
		}
		return s.cert.config(), nil
	}
	stateDir, err := stateLocation()
	if err != nil {
		return nil, err
	}
	m := newACME(o, stateDir, s.log)
	if s.responder, err = startResponder(ctx, m, ip, acmePort, s.log); err != nil {
		return nil, err
	}
	return acmeConfig(m), nil
}

// reload reads certificate files again.
func (s *service) reload() error {
	if s.cert == nil {
		return nil
	}
	return s.cert.reload()
}

// accept relays every stream until the listener is closed.
func (s *service) accept() {
	defer s.relays.Wait()
	for {
		stream, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.relays.Go(func() { s.connect(stream) })
	}
}

// connect relays one stream.
func (s *service) connect(stream net.Conn) {
	defer stream.Close()
	defer context.AfterFunc(s.ctx, func() { stream.Close() })()
	or, err := s.or.dial(stream.RemoteAddr().String())
	if err != nil {
		s.log.Error("stream refused", "error", err)
		return
	}
	s.relay.run(s.ctx, stream, or)
}

// stop closes all streams, tells the clients as far as time allows, and ends
// the service. It returns when all goroutines have ended, which is at once
// unless tor keeps a connection of the extended OR port waiting.
func (s *service) stop(ctx context.Context) {
	if s.responder != nil {
		s.responder.stop()
	}
	s.cancel()
	drain, cancel := context.WithTimeout(ctx, drainLimit)
	defer cancel()
	s.listener.Shutdown(drain)
	s.loop.Wait()
	if s.broker != nil {
		s.broker.close()
	}
}
