package multipath

import (
	"context"
	"net"
	"os"
	"sync"
	"time"

	"flurry/common/carrier"
)

const (
	// defaultQueue bounds what waits for one peer: a full send window of
	// package turbotunnel (2048 segments of 1400 bytes) and half as much again.
	defaultQueue = 4 << 20

	// inboxPackets is how many received packets wait for KCP. They are taken
	// in microseconds; beyond it the carriers wait.
	inboxPackets = 256

	// settle is how long all must stay acknowledged before Drained believes
	// it: two of KCP's 10 ms intervals, in which it may come with more.
	settle = 25 * time.Millisecond
)

// Options change a Conn's defaults.
type Options struct {
	Scheduler  Scheduler // nil means Earliest
	QueueBytes int       // bound on what waits for one peer; 0 means 4 MiB
}

// Conn is a net.PacketConn over changing sets of paths, one set for each peer.
// The client has one peer, a server's shard many. It is safe for concurrent use.
type Conn struct {
	// fixed after construction
	local net.Addr
	sched Scheduler
	limit int
	inbox chan arrived
	done  chan struct{}
	pool  sync.Pool // of *packet

	mu     sync.RWMutex // guards the rest
	peers  map[net.Addr]*peer
	closed bool

	wg sync.WaitGroup // one for each path
}

type arrived struct {
	pkt  *packet
	from net.Addr
}

// peer is everything about one peer. Its lock is never held across I/O.
type peer struct {
	addr net.Addr // fixed

	mu      sync.Mutex // guards the rest, and the out queue of each path
	paths   []*Path
	queue   queue
	kcp     tracker
	idle    chan struct{} // closed and replaced when all is acknowledged
	infos   []PathInfo    // scratch of dispatch
	dropped int64
}

// New returns a Conn without paths. local is what LocalAddr says.
func New(local net.Addr, o Options) *Conn {
	c := &Conn{local: local, sched: o.Scheduler, limit: o.QueueBytes,
		inbox: make(chan arrived, inboxPackets), done: make(chan struct{}), peers: map[net.Addr]*peer{}}
	if c.sched == nil {
		c.sched = Earliest{}
	}
	if c.limit == 0 {
		c.limit = defaultQueue
	}
	c.pool.New = func() any { return new(packet) }
	return c
}

func (c *Conn) get() *packet  { return c.pool.Get().(*packet) }
func (c *Conn) put(p *packet) { c.pool.Put(p) }

// peerFor returns the record of a peer, making it if need be; nil when closed.
func (c *Conn) peerFor(addr net.Addr) *peer {
	c.mu.RLock()
	p, closed := c.peers[addr], c.closed
	c.mu.RUnlock()
	if p != nil || closed {
		return p
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	if p = c.peers[addr]; p == nil {
		p = &peer{addr: addr, idle: make(chan struct{})}
		p.kcp.better = p.betterLocked
		c.peers[addr] = p
	}
	return p
}

// known returns the record of a peer, or nil.
func (c *Conn) known(addr net.Addr) *peer {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.peers[addr]
}

// Add gives path, a carrier of packets, to peer. The Conn owns it from now on
// and drops it when it ends. On a closed Conn the path is closed at once.
func (c *Conn) Add(peer net.Addr, path carrier.Conn) *Path {
	p := c.peerFor(peer)
	if p == nil {
		path.Close()
		return endedPath(path)
	}
	n := newPath(c, p, path)
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		path.Close()
		return endedPath(path)
	}
	c.peers[peer] = p // it may have been forgotten in between
	c.wg.Add(1)
	p.mu.Lock()
	p.paths = append(p.paths, n)
	c.dispatchLocked(p, time.Now())
	p.mu.Unlock()
	c.mu.Unlock()
	go n.run()
	return n
}

func endedPath(conn carrier.Conn) *Path {
	p := &Path{conn: conn, kind: conn.Traits().Kind, done: make(chan struct{}), err: carrier.ErrClosed}
	p.ctx, p.stop = context.WithCancel(context.Background())
	p.stop()
	p.once.Do(func() {})
	close(p.done)
	return p
}

// Paths says how the paths of peer are doing.
func (c *Conn) Paths(peer net.Addr) []PathInfo {
	p := c.known(peer)
	if p == nil {
		return nil
	}
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	infos := make([]PathInfo, len(p.paths))
	for i, path := range p.paths {
		infos[i] = path.info(now)
	}
	return infos
}

// Forget drops the record of a peer that has no path. Packets waiting for it
// are lost.
func (c *Conn) Forget(peer net.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.peers[peer]; p != nil {
		p.mu.Lock()
		if len(p.paths) == 0 {
			delete(c.peers, peer)
		}
		p.mu.Unlock()
	}
}

// Drained waits until the peer has acknowledged all data sent to it.
func (c *Conn) Drained(ctx context.Context, peer net.Addr) error {
	p := c.known(peer)
	if p == nil {
		return nil
	}
	quiet := time.NewTimer(settle)
	defer quiet.Stop()
	for {
		p.mu.Lock()
		busy, idle, next := p.kcp.inFlight() > 0, p.idle, p.kcp.next
		p.mu.Unlock()
		if !busy {
			quiet.Reset(settle)
			select {
			case <-quiet.C:
				p.mu.Lock()
				same := p.kcp.inFlight() == 0 && p.kcp.next == next
				p.mu.Unlock()
				if same {
					return nil
				}
				continue
			case <-ctx.Done():
				return ctx.Err()
			case <-c.done:
				return net.ErrClosed
			}
		}
		select {
		case <-idle:
		case <-ctx.Done():
			return ctx.Err()
		case <-c.done:
			return net.ErrClosed
		}
	}
}

// WriteTo implements net.PacketConn. It never blocks; a packet that finds the
// peer's queue full, or that is of no use, is dropped.
func (c *Conn) WriteTo(b []byte, addr net.Addr) (int, error) {
	if len(b) > maxPacket {
		return 0, carrier.ErrTooLong
	}
	p := c.peerFor(addr)
	if p == nil {
		return 0, net.ErrClosed
	}
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.kcp.outgoing(b, now) {
		return len(b), nil
	}
	if p.queue.size+len(b) > c.limit {
		p.dropped++
		return len(b), nil
	}
	pkt := c.get()
	pkt.n, pkt.at = copy(pkt.data[:], b), now
	p.kcp.mark(b, nil, now)
	p.queue.push(pkt)
	c.dispatchLocked(p, now)
	return len(b), nil
}

// betterLocked reports whether there is a choice of paths with one among them
// that is not in doubt.
func (p *peer) betterLocked(now time.Time) bool {
	if len(p.paths) < 2 {
		return false
	}
	for _, path := range p.paths {
		if path.Stalled(now) <= doubtAfter {
			return true
		}
	}
	return false
}

// dispatchLocked hands waiting packets to paths, as long as the Scheduler
// finds one.
func (c *Conn) dispatchLocked(p *peer, now time.Time) {
	for p.queue.count > 0 {
		path := c.pickLocked(p, p.queue.front().n, now)
		if path == nil {
			return
		}
		pkt := p.queue.pop()
		path.out.push(pkt)
		path.waiting.Add(int64(pkt.n))
		select {
		case path.wake <- struct{}{}:
		default:
		}
	}
}

func (c *Conn) pickLocked(p *peer, size int, now time.Time) *Path {
	switch len(p.paths) {
	case 0:
		return nil
	case 1: // nothing to choose
		if p.paths[0].out.size >= pathQueue {
			return nil
		}
		return p.paths[0]
	}
	p.infos = p.infos[:0]
	for _, path := range p.paths {
		p.infos = append(p.infos, path.info(now))
	}
	if i := c.sched.Pick(size, p.infos, now); i >= 0 {
		return p.paths[i]
	}
	return nil
}

// take moves what a path's writer sends next into batch.
func (c *Conn) take(path *Path, batch []*packet) []*packet {
	p := path.peer
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	for size := 0; path.out.count > 0 && size+path.out.front().n <= batchBytes; {
		pkt := path.out.pop()
		size += pkt.n
		restamp(pkt.bytes(), now.Sub(pkt.at))
		pkt.at = now
		p.kcp.mark(pkt.bytes(), path, now)
		batch = append(batch, pkt)
	}
	if len(batch) > 0 {
		c.dispatchLocked(p, now)
	}
	return batch
}

// giveBack returns packets that a failing path may not have sent.
func (c *Conn) giveBack(path *Path, batch []*packet) {
	p := path.peer
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := len(batch) - 1; i >= 0; i-- {
		p.kcp.mark(batch[i].bytes(), nil, now)
		p.queue.pushFront(batch[i])
	}
	c.dispatchLocked(p, now)
}

// drop takes a path out of its peer's set, and what waited for it back.
func (c *Conn) drop(path *Path) {
	p := path.peer
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, other := range p.paths {
		if other == path {
			p.paths = append(p.paths[:i:i], p.paths[i+1:]...)
			break
		}
	}
	var rest []*packet
	for path.out.count > 0 {
		rest = append(rest, path.out.pop())
	}
	for i := len(rest) - 1; i >= 0; i-- {
		p.queue.pushFront(rest[i])
	}
	c.dispatchLocked(p, time.Now())
}

// received looks at a packet on its way up.
func (p *peer) received(b []byte, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	busy := p.kcp.inFlight() > 0
	if p.kcp.incoming(b, now) && busy {
		close(p.idle)
		p.idle = make(chan struct{})
	}
}

// ReadFrom implements net.PacketConn. It returns net.ErrClosed after Close.
func (c *Conn) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case a := <-c.inbox:
		n := copy(b, a.pkt.bytes())
		c.put(a.pkt)
		return n, a.from, nil
	case <-c.done:
		return 0, nil, net.ErrClosed
	}
}

// Close implements net.PacketConn: it closes every path and waits for them.
func (c *Conn) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return net.ErrClosed
	}
	c.closed = true
	peers := c.peers
	c.peers = map[net.Addr]*peer{}
	close(c.done)
	c.mu.Unlock()
	for _, p := range peers {
		p.mu.Lock()
		paths := append([]*Path(nil), p.paths...)
		p.mu.Unlock()
		for _, path := range paths {
			path.end(carrier.ErrClosed)
		}
	}
	c.wg.Wait()
	return nil
}

// LocalAddr implements net.PacketConn.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// SetDeadline implements net.PacketConn; there are none.
func (c *Conn) SetDeadline(time.Time) error { return os.ErrNoDeadline }

// SetReadDeadline implements net.PacketConn; there are none.
func (c *Conn) SetReadDeadline(time.Time) error { return os.ErrNoDeadline }

// SetWriteDeadline implements net.PacketConn; there are none.
func (c *Conn) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }

var _ net.PacketConn = (*Conn)(nil)
