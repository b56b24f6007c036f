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

// A shard serves the clients whose ClientIDs fall to it.
type shard struct {
	// fixed after construction
	out *outlet

	tasks sync.WaitGroup // one for each conversation

	mu      sync.Mutex
	clients map[turbotunnel.ClientID]*client // guarded by mu
	closed  bool                             // guarded by mu
	refused int                              // for want of room, since the last sweep; guarded by mu
}

// A client is what a shard remembers about a ClientID: from its first carrier
// until it has had neither carrier nor stream for the idle time.
//
//	carriers ══ conn (multipath.Conn) ── session (smux) ── streams
//
// Guarded by the shard's mu, but for conn, which is fixed.
type client struct {
	conn     *multipath.Conn
	addr     netip.Addr // told with the most recent carrier
	carriers int        // attached now
	session  *session   // nil before the first data and after its end
	over     bool       // the conversation has ended
	since    time.Time  // when it was last seen with a carrier or a stream
}

func newShard(out *outlet) *shard {
	return &shard{out: out, clients: make(map[turbotunnel.ClientID]*client)}
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
	case c != nil && c.carriers >= maxCarriers:
		return nil, ErrTooManyCarriers
	case c == nil || c.over:
		old := c
		c = &client{conn: multipath.New(multipath.Options{Accept: true})}
		if old != nil {
			c.carriers = old.carriers
		}
		s.clients[id] = c
		s.tasks.Go(func() { s.converse(id, c) })
	}
	c.addr = addr
	c.carriers++
	s.out.carriers.Add(1)
	// Under mu, so that sweep cannot forget the client in between.
	return c.conn.Add(pipe), nil
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

// converse serves one conversation: from the first data to its end.
func (s *shard) converse(id turbotunnel.ClientID, c *client) {
	select {
	case <-c.conn.Begun():
		s.serve(c)
	case <-c.conn.Done():
	}
	c.conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	c.over = true
	s.out.past.add(c.conn.Stats())
}

// serve gives out the streams of a conversation.
func (s *shard) serve(c *client) {
	if !s.enter() {
		return
	}
	defer s.out.sessions.Add(-1)
	tunnel, err := turbotunnel.Server(c.conn, turbotunnel.ServerTuning())
	if err != nil {
		s.out.cfg.Logger.Error("no session", "error", err)
		return
	}
	ses := &session{out: s.out, tunnel: tunnel}
	s.mu.Lock()
	ses.remote = ClientAddr{IP: c.addr}
	c.session = ses
	s.mu.Unlock()
	ses.serve()
	s.mu.Lock()
	c.session = nil
	s.mu.Unlock()
}

// enter counts a new session, or says that there is no room.
func (s *shard) enter() bool {
	if int(s.out.sessions.Add(1)) <= s.out.cfg.MaxSessions {
		return true
	}
	s.out.sessions.Add(-1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused++
	return false
}

// sweep ends idle sessions and forgets idle clients, until the table is closed.
func (s *shard) sweep() {
	t := time.NewTicker(max(s.out.cfg.IdleTimeout/sweepsPerIdle, time.Millisecond))
	defer t.Stop()
	for {
		select {
		case now := <-t.C:
			for _, c := range s.expire(now) {
				c.Close() // its goroutine does the rest
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

// expire returns the conversations that have been without carrier and stream
// for the idle time, and forgets clients whose conversation has ended.
func (s *shard) expire(now time.Time) (idle []*multipath.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, c := range s.clients {
		switch {
		case c.carriers > 0:
		case c.session != nil && c.session.open.Load() > 0:
			c.since = now
		case c.over:
			delete(s.clients, id)
		case now.Sub(c.since) >= s.out.cfg.IdleTimeout:
			idle = append(idle, c.conn)
		}
	}
	return idle
}

// drain waits, for as long as ctx lasts, until the clients that have a carrier
// have acknowledged everything.
func (s *shard) drain(ctx context.Context) {
	var waits sync.WaitGroup
	for _, conn := range s.conns(true) {
		waits.Go(func() { conn.Drained(ctx) })
	}
	waits.Wait()
}

// conns lists the conversations under way, or those that have a session and a
// carrier for it.
func (s *shard) conns(reachable bool) (conns []*multipath.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.clients {
		if !c.over && (!reachable || c.carriers > 0 && c.session != nil) {
			conns = append(conns, c.conn)
		}
	}
	return conns
}

// close ends everything and returns when all goroutines have ended.
func (s *shard) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	for _, conn := range s.conns(false) {
		conn.Close()
	}
	s.tasks.Wait()
}
