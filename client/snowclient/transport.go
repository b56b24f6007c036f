package snowclient

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"
)

// A Transport gives streams to one bridge by way of volunteers' proxies. All
// methods may be called from any goroutine.
type Transport struct {
	// Fixed after construction.
	cfg       Config // with defaults filled in
	log       *slog.Logger
	metrics   *metrics
	dialer    CarrierDialer
	ownDialer *rtcDialer // nil if dialer is the caller's
	inBand    *inBand    // stands before the caller's Rendezvous, in cfg too
	signaller *signaller
	nat       *natState
	pace      pace
	probe     natProbe
	linger    time.Duration

	// Lifetime: ctx ends when Close is called; tasks are the sessions, their
	// attempts at carriers, and NAT probes.
	ctx    context.Context
	cancel context.CancelFunc
	tasks  sync.WaitGroup

	// Guarded by mu.
	mu      sync.Mutex
	closed  bool
	session *session // the one that new streams go to; nil before the first and after the end of each
}

// New makes a Transport. It touches no network: that begins with the first Dial
// or Prepare.
func New(cfg Config) (*Transport, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	m, err := newMetrics(cfg.Registerer)
	if err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	way := newInBand(cfg.Rendezvous, cfg.NoInBand, cfg.Logger, m.countInBand)
	cfg.Rendezvous = way
	usable, skipped := iceServers(cfg.ICEServers)
	for _, err := range skipped {
		cfg.Logger.Warn("ICE server passed over", "err", err)
	}
	servers := subset(usable)
	known := newNATState(servers, cfg.NATMemory, cfg.Logger)
	t := &Transport{
		cfg: cfg, log: cfg.Logger, metrics: m,
		dialer:    cfg.Dialer,
		inBand:    way,
		signaller: &signaller{rendezvous: cfg.Rendezvous, fingerprint: cfg.Fingerprint, nat: known},
		nat:       known,
		probe:     probeNAT,
		linger:    lingerTime,
	}
	if t.dialer == nil {
		if t.ownDialer, err = newRTCDialer(servers, cfg, t.log); err != nil {
			return nil, err
		}
		t.dialer = t.ownDialer
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t, nil
}

// Dial is DialContext without a context (PT 2.1).
func (t *Transport) Dial() (net.Conn, error) { return t.DialContext(context.Background()) }

// DialContext opens a stream. It does not wait for a proxy: what is written
// waits for the first one. ctx bounds only the call itself. Closing the stream
// tells the bridge at once, as soon as there is a path to tell it by.
//
// After Close the error is ErrClosed.
func (t *Transport) DialContext(ctx context.Context) (net.Conn, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("dial bridge: %w", err)
		}
		s, st, err := t.join()
		if err != nil {
			return nil, fmt.Errorf("dial bridge: %w", err)
		}
		conn, err := s.tunnel.OpenStream(ctx)
		if err == nil {
			if err := st.open(conn); err != nil {
				return nil, fmt.Errorf("dial bridge: %w", err)
			}
			return st, nil
		}
		s.leave(st)
		if !s.over() {
			return nil, fmt.Errorf("dial bridge: open stream: %w", err)
		}
		// The session ended between join and OpenStream; the next is fresh.
	}
}

// join adds a stream that is about to be opened to the present session, or to a
// new one if there is none.
func (t *Transport) join() (*session, *stream, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, nil, ErrClosed
	}
	if t.session != nil && t.session.over() {
		t.session = nil
	}
	if t.session == nil {
		s, err := t.startLocked()
		if err != nil {
			return nil, nil, err
		}
		t.session = s
	}
	return t.session, t.session.addLocked(), nil
}

// startLocked makes a session and sets it going.
func (t *Transport) startLocked() (*session, error) {
	s, err := newSession(t)
	if err != nil {
		return nil, fmt.Errorf("start session: %w", err)
	}
	t.tasks.Go(func() { s.run(t.ctx) })
	return s, nil
}

// Close ends every stream, gives the bridge a moment to hear of it, lets go of
// the proxies, and returns when all goroutines of the Transport have ended. It
// takes at most a few seconds. It may be called twice.
func (t *Transport) Close() error {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.cancel()
	t.tasks.Wait()
	if t.ownDialer != nil {
		t.ownDialer.Close()
	}
	return nil
}
