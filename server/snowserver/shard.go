package snowserver

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"sync"
	"time"

	"flurry/common/carrier"
	"flurry/common/multipath"
	"flurry/common/turbotunnel"
)

// A shard serves the clients whose ClientIDs fall to it: one packet network
// over their carriers, and one KCP engine over that.
//
//	carriers ══ packets (multipath.Conn) ── engine (KCP) ── sessions ── streams
type shard struct {
	// fixed after construction
	out     *outlet
	packets *multipath.Conn
	engine  *turbotunnel.Listener

	sessions sync.WaitGroup // grows in accept only

	mu      sync.Mutex
	clients map[turbotunnel.ClientID]*client // guarded by mu
	closed  bool                             // guarded by mu
	refused int                              // for want of room, since the last sweep; guarded by mu
}

// A client is what a shard remembers about a ClientID: from its first carrier
// until it has had neither carrier nor stream for the idle time. Guarded by the
// shard's mu.
type client struct {
	addr     netip.Addr // told with the most recent carrier
	carriers int        // attached now
	session  *session   // the newest; nil when there is none
	since    time.Time  // when it was last seen with a carrier or a stream
}

// shardAddr is the local address of a shard's packet network. Nobody dials it.
type shardAddr struct{}

// Network implements net.Addr.
func (shardAddr) Network() string { return "snowflake" }

// String implements net.Addr.
func (shardAddr) String() string { return "shard" }

func newShard(out *outlet) (*shard, error) {
	packets := multipath.New(shardAddr{}, multipath.Options{})
	engine, err := turbotunnel.Listen(packets, turbotunnel.ServerTuning())
	if err != nil {
		packets.Close()
		return nil, err
	}
	return &shard{
		out:     out,
		packets: packets,
		engine:  engine,
		clients: make(map[turbotunnel.ClientID]*client),
	}, nil
}

// attach serves Table.Attach.
func (s *shard) attach(ctx context.Context, id turbotunnel.ClientID, pipe carrier.Conn, addr netip.Addr) error {
	path, err := s.join(id, pipe, addr)
	if err != nil {
		pipe.Close()
		return err
	}
	select {
	case <-path.Done():
	case <-ctx.Done():
	case <-s.out.done:
	}
	path.Close()
	<-path.Done()
	s.leave(id)
	if err := path.Err(); !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// join adds a carrier to a client, which may be new.
func (s *shard) join(id turbotunnel.ClientID, pipe carrier.Conn, addr netip.Addr) (*multipath.Path, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.clients[id]
	switch {
	case s.closed:
		return nil, ErrTableClosed
	case c == nil && len(s.clients) >= s.out.cfg.MaxSessions:
		s.refused++
		return nil, ErrTableFull
	case c == nil:
		c = &client{}
		s.clients[id] = c
	case c.carriers >= maxCarriers:
		return nil, ErrTooManyCarriers
	}
	c.addr = addr
	c.carriers++
	s.out.carriers.Add(1)
	// Under mu, so that sweep cannot forget the peer in between.
	return s.packets.Add(id, pipe), nil
}

// leave takes back what join did, except for the memory of the client.
func (s *shard) leave(id turbotunnel.ClientID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.clients[id]
	c.carriers--
	c.since = time.Now()
	s.out.carriers.Add(-1)
}

// accept serves each new session in a goroutine of its own, until close. It
// returns when the sessions have ended.
func (s *shard) accept() {
	defer s.sessions.Wait()
	for {
		tunnel, err := s.engine.Accept()
		if err != nil {
			break
		}
		id, _ := tunnel.RemoteAddr().(turbotunnel.ClientID)
		ses := &session{out: s.out, tunnel: tunnel}
		if !s.enter(id, ses) {
			tunnel.Close()
			continue
		}
		s.sessions.Go(func() {
			ses.serve()
			s.exit(id, ses)
		})
	}
	// The packet network is closed and the engine has seen it, so nothing new
	// comes. Of sessions that were waiting, each Accept returns one or the
	// error, by lot.
	for range acceptLots {
		if tunnel, err := s.engine.Accept(); err == nil {
			tunnel.Close()
		}
	}
	s.engine.Close()
}

// acceptLots is how often Accept is asked for sessions after it has failed. It
// holds at most 128 (spec section 7.3).
const acceptLots = 3 * 128

// enter notes a new session, which replaces an older one of the same client,
// and gives it the client's address as known now. It says no when there is no
// room, or no time.
func (s *shard) enter(id turbotunnel.ClientID, ses *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	if int(s.out.sessions.Load()) >= s.out.cfg.MaxSessions {
		s.refused++
		return false
	}
	c := s.clients[id]
	if c == nil { // swept since its last carrier ended
		c = &client{since: time.Now()}
		s.clients[id] = c
	}
	c.session = ses
	ses.remote = ClientAddr{IP: c.addr}
	s.out.sessions.Add(1)
	return true
}

// exit notes the end of a session.
func (s *shard) exit(id turbotunnel.ClientID, ses *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out.sessions.Add(-1)
	if c := s.clients[id]; c != nil && c.session == ses {
		c.session = nil
	}
}

// sweep ends idle sessions and forgets idle clients, until the table is closed.
func (s *shard) sweep() {
	t := time.NewTicker(max(s.out.cfg.IdleTimeout/sweepsPerIdle, time.Millisecond))
	defer t.Stop()
	for {
		select {
		case now := <-t.C:
			for _, ses := range s.expire(now) {
				ses.tunnel.Close() // its goroutine does the rest
			}
			if n := s.takeRefused(); n > 0 {
				s.out.cfg.Logger.Warn("clients refused: MaxSessions is reached", "count", n)
			}
		case <-s.out.done:
			return
		}
	}
}

func (s *shard) takeRefused() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, s.refused = s.refused, 0
	return n
}

// expire returns the sessions that have been without carrier and stream for the
// idle time. Clients whose session has ended by then are forgotten: not before,
// because a session that still sends would have the packet network remember the
// client again.
func (s *shard) expire(now time.Time) (idle []*session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, c := range s.clients {
		switch {
		case c.carriers > 0:
		case c.session != nil && c.session.open.Load() > 0:
			c.since = now
		case now.Sub(c.since) < s.out.cfg.IdleTimeout:
		case c.session != nil:
			idle = append(idle, c.session)
		default:
			delete(s.clients, id)
			s.packets.Forget(id)
		}
	}
	return idle
}

// drain waits, for as long as ctx lasts, until the clients that have a carrier
// have acknowledged everything.
func (s *shard) drain(ctx context.Context) {
	var waits sync.WaitGroup
	for _, id := range s.reachable() {
		waits.Go(func() { s.packets.Drained(ctx, id) })
	}
	waits.Wait()
}

// reachable lists the clients that have a session and a carrier for it.
func (s *shard) reachable() (ids []turbotunnel.ClientID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, c := range s.clients {
		if c.carriers > 0 && c.session != nil {
			ids = append(ids, id)
		}
	}
	return ids
}

// close stops everything; accept returns when the sessions have ended.
func (s *shard) close() {
	s.packets.Close()
	for _, ses := range s.shut() {
		ses.tunnel.Close()
	}
}

// shut lets nothing in any more and lists what is there.
func (s *shard) shut() (live []*session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, c := range s.clients {
		if c.session != nil {
			live = append(live, c.session)
		}
	}
	return live
}
