package snowclient

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"flurry/common/multipath"
	"flurry/common/turbotunnel"
)

// How a session ends.
const (
	// drainTimeout bounds the wait, after the last stream has been closed, for
	// the bridge to acknowledge all we sent, the closing included. A session
	// whose end does not reach the bridge stays there for minutes (spec
	// section 13, weakness 23c).
	drainTimeout = 5 * time.Second

	// closeTimeout is the same when the Transport is closed: whoever ended the
	// program waits for it.
	closeTimeout = 2500 * time.Millisecond

	// lingerTime is how long a session without streams keeps its proxies for
	// the next Dial. Applications that lost a connection mostly come back
	// within seconds; longer would hold volunteers that others need.
	lingerTime = 10 * time.Second
)

// errForgotten ends a session that only we remember.
var errForgotten = errors.New("the bridge does not know this session any more")

// A session is one conversation with the bridge, shared by all streams of its
// Transport. It begins with a Dial and ends when it has been without streams
// for lingerTime, when the bridge has been silent for the keepalive time, or
// when the Transport is closed.
type session struct {
	// Fixed after construction.
	t      *Transport
	log    *slog.Logger
	id     turbotunnel.ClientID
	paths  *multipath.Conn
	tunnel *turbotunnel.Session
	pool   *pool
	acks   *ackWatch
	poke   chan struct{} // the set of streams has changed
	broken chan error    // why the session is no good any more; the first reason counts

	counted multipath.Stats // what the metrics have; see count

	// begun is set before the first path has the session's packets: from then on the bridge may know of its streams.
	begun atomic.Bool

	// Guarded by t.mu.
	streams map[*stream]struct{}
	reason  error // why it was lost; nil if that is not known
}

// newSession makes a session; run brings it to life.
func newSession(t *Transport) (*session, error) {
	id := turbotunnel.NewClientID()
	s := &session{
		t: t, log: t.log, id: id,
		paths:   multipath.New(multipath.Options{Ask: true}),
		poke:    make(chan struct{}, 1),
		broken:  make(chan error, 1),
		streams: make(map[*stream]struct{}),
	}
	tunnel, err := turbotunnel.Client(s.paths, turbotunnel.ClientTuning())
	if err != nil {
		return nil, err
	}
	s.tunnel = tunnel
	s.acks = &ackWatch{forgotten: func() { s.giveUp(errForgotten) }}
	s.pool = newPool(poolConfig{
		max:    t.cfg.Max,
		dial:   s.dialPath,
		lost:   t.cfg.Trace.retrying,
		count:  t.metrics.paths.Add,
		giveUp: s.giveUp,
		tick:   s.count,
		jitter: rand.Float64,
		log:    t.log,
	})
	t.metrics.sessions.Inc()
	return s, nil
}

// dialPath makes one path: a carrier, with our prelude sent over it, given to
// the multipath.Conn.
func (s *session) dialPath(ctx context.Context) (poolPath, error) {
	c, err := s.t.connect(ctx)
	if err != nil {
		return nil, err
	}
	packets, err := turbotunnel.Attach(ctx, c, s.id)
	if err != nil {
		c.Close()
		return nil, err
	}
	s.log.Info("connected to a proxy", "kind", c.Traits().Kind)
	s.begun.Store(true) // before anything can have left
	return s.paths.Add(&watchedCarrier{packets, s.acks}), nil
}

// count brings the metrics up to date. The pool's goroutine calls it, and run
// when that has ended.
func (s *session) count() {
	now := s.paths.Stats()
	s.t.metrics.count(s.counted, now)
	s.counted = now
}

// giveUp makes run end the session: it has turned out to be of no more use.
func (s *session) giveUp(reason error) {
	select {
	case s.broken <- reason:
	default:
	}
}

// lost is the error of streams whose session has ended under them.
func (s *session) lost() error {
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	if s.reason == nil {
		return ErrSessionLost
	}
	return fmt.Errorf("%w: %w", ErrSessionLost, s.reason)
}

// over tells whether the session has ended.
func (s *session) over() bool {
	select {
	case <-s.tunnel.Done():
		return true
	default:
		return false
	}
}

// run lives as long as the session and frees all it holds.
func (s *session) run(ctx context.Context) {
	poolCtx, stopPool := context.WithCancel(context.Background()) // outlives ctx: draining needs paths
	defer stopPool()
	var pool sync.WaitGroup
	pool.Go(func() { s.pool.Run(poolCtx) })
	pool.Go(func() { s.t.inBand.serve(s.tunnel, s.reachable) }) // ends with the tunnel
	s.pool.setWanted(true)

	s.serve(ctx)

	s.forget()
	if err := s.tunnel.Close(); err != nil {
		s.log.Debug("session close", "err", err)
	}
	stopPool()
	pool.Wait()
	s.count()
}

// serve returns when the session is to end or has ended.
func (s *session) serve(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			s.hangUp()
			return
		case <-s.tunnel.Done():
			s.log.Info("session lost")
			return
		case reason := <-s.broken:
			s.log.Info("session lost", "err", reason)
			s.t.mu.Lock()
			s.reason = reason
			s.t.mu.Unlock()
			return
		case <-s.poke:
		}
		if s.idle() && s.linger(ctx) {
			return
		}
	}
}

// linger sees a session without streams off: it waits until the bridge has
// heard of it, then a while for another stream. It reports whether the session
// is to end, and leaves a canceled ctx to serve.
func (s *session) linger(ctx context.Context) (end bool) {
	if s.begun.Load() {
		s.drain(ctx, drainTimeout)
	}
	if !s.idle() {
		return false
	}
	s.pool.setWanted(false)
	timer := time.NewTimer(s.t.linger)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-s.tunnel.Done():
			return true
		case <-s.poke:
			if !s.idle() {
				s.pool.setWanted(true)
				return false
			}
		case <-timer.C:
			if s.forgetIdle() {
				return true
			}
			s.pool.setWanted(true)
			return false
		}
	}
}

// drain waits until the bridge has acknowledged everything, at most for d.
func (s *session) drain(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	if err := s.paths.Drained(ctx); err != nil {
		s.log.Debug("the bridge may not have heard everything", "err", err)
	}
}

// hangUp closes every stream and lets the bridge hear of it, within closeTimeout.
func (s *session) hangUp() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	s.t.mu.Lock()
	open := make([]*stream, 0, len(s.streams))
	for st := range s.streams {
		open = append(open, st)
	}
	s.t.mu.Unlock()
	var closing sync.WaitGroup
	for _, st := range open {
		closing.Go(func() { st.end(ErrClosed) })
	}
	// Closing waits for room in KCP's window. Should that not come in time, the
	// end of the tunnel frees it.
	closed := make(chan struct{})
	s.t.tasks.Go(func() {
		closing.Wait()
		close(closed)
	})
	select {
	case <-closed:
		if s.begun.Load() {
			s.drain(ctx, closeTimeout)
		}
	case <-ctx.Done():
	}
}

// addLocked counts in a stream that is about to be opened.
func (s *session) addLocked() *stream {
	st := &stream{s: s}
	s.streams[st] = struct{}{}
	s.t.metrics.streams.Inc()
	s.nudge()
	return st
}

// leave counts a stream out. It may be called twice.
func (s *session) leave(st *stream) {
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	if _, ok := s.streams[st]; ok {
		delete(s.streams, st)
		s.t.metrics.streams.Dec()
		s.nudge()
	}
}

// nudge makes run look at the set of streams.
func (s *session) nudge() {
	select {
	case s.poke <- struct{}{}:
	default:
	}
}

// idle tells whether the session has no streams.
func (s *session) idle() bool {
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	return len(s.streams) == 0
}

// forget makes the next Dial begin another session.
func (s *session) forget() {
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	s.forgetLocked()
}

// forgetIdle does so unless the session has streams, and tells whether it has.
func (s *session) forgetIdle() bool {
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	if len(s.streams) > 0 {
		return false
	}
	s.forgetLocked()
	return true
}

func (s *session) forgetLocked() {
	if s.t.session == s {
		s.t.session = nil
	}
}
