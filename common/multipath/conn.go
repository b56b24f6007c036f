package multipath

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"flurry/common/carrier"
)

const (
	// defaultSendBuffer bounds what has been written and not acknowledged:
	// 40 MB/s over 200 ms.
	defaultSendBuffer = 8 << 20

	// defaultReceiveBuffer bounds what has come and not been read; it is what
	// the window on the wire stands for.
	defaultReceiveBuffer = 8 << 20

	// backlogMin and backlogTime bound what Write accepts and no path takes.
	// Whatever waits here, the answer to a click waits for.
	backlogMin  = 16 << 10
	backlogTime = 10 * time.Millisecond
)

// Options change a Conn's defaults.
type Options struct {
	// Accept makes the end that takes the conversation's number from the first
	// data that comes. The other end draws one.
	Accept bool

	// Ask makes the end that asks quiet paths whether they live. It is the
	// client's part, which can replace a path.
	Ask bool

	Scheduler     Scheduler // nil means Earliest
	SendBuffer    int       // bytes written and not acknowledged; 0 means 8 MiB
	ReceiveBuffer int       // bytes come and not read; 0 means 8 MiB
}

// Stats counts the segments of a conversation.
type Stats struct {
	Sent      int64 // for the first time
	Resent    int64
	Spurious  int64 // of those, how many had not been lost
	Received  int64 // with those that came before
	Duplicate int64 // how many those were
}

// Plus adds two counts.
func (s Stats) Plus(o Stats) Stats {
	return Stats{
		Sent: s.Sent + o.Sent, Resent: s.Resent + o.Resent, Spurious: s.Spurious + o.Spurious,
		Received: s.Received + o.Received, Duplicate: s.Duplicate + o.Duplicate,
	}
}

// Conn is one KCP conversation over a changing set of paths, a reliable stream
// of bytes. It is safe for concurrent use, except that Reads must not run side
// by side, nor Writes.
type Conn struct {
	// fixed after construction
	sched Scheduler
	asks  bool
	limit int // send buffer
	epoch time.Time
	begun chan struct{} // closed when the conversation has begun
	done  chan struct{} // closed by Close
	tasks sync.WaitGroup

	mu       sync.Mutex // guards the rest, and the state of each path
	conv     uint32
	started  bool
	closed   bool
	paths    []*Path
	snd      sender
	rcv      receiver
	readable *sync.Cond
	writable *sync.Cond
	blocked  bool // a Write waits
	drained  *sync.Cond
	stats    Stats
	tx       uint32 // transmissions so far
	latest   latest
	infos    []PathInfo // scratch

	timer   *time.Timer
	armed   time.Duration // when the timer fires
	nextDue time.Duration // when a path's next time-out is
	paceDue time.Duration // when a path's pace lets the next segment go
	ackDue  time.Duration // when acknowledgements must leave
}

// New returns a Conn without paths. Nothing leaves before the first Write.
func New(o Options) *Conn {
	c := &Conn{sched: o.Scheduler, asks: o.Ask, limit: o.SendBuffer, epoch: time.Now(),
		begun: make(chan struct{}), done: make(chan struct{}),
		armed: never, nextDue: never, paceDue: never, ackDue: never}
	if c.sched == nil {
		c.sched = Earliest{}
	}
	if c.limit == 0 {
		c.limit = defaultSendBuffer
	}
	c.rcv.limit = o.ReceiveBuffer
	if c.rcv.limit == 0 {
		c.rcv.limit = defaultReceiveBuffer
	}
	c.snd.peerWindow = firstPeerWindow
	c.readable, c.writable, c.drained = sync.NewCond(&c.mu), sync.NewCond(&c.mu), sync.NewCond(&c.mu)
	c.timer = time.AfterFunc(time.Hour, c.tick)
	c.timer.Stop()
	if !o.Accept {
		c.conv = rand.Uint32()
		c.startLocked()
	}
	return c
}

// firstPeerWindow is taken for the other end's window until it has told: KCP's
// own first value (spec section 7.3).
const firstPeerWindow = 128

func (c *Conn) now() time.Duration { return time.Since(c.epoch) }

// stamp is a time as the wire has it, in milliseconds.
func (c *Conn) stamp(now time.Duration) uint32 { return uint32(now / time.Millisecond) }

func (c *Conn) startLocked() {
	c.started = true
	close(c.begun)
}

// Begun is closed when the conversation has begun: for the end that accepts,
// with the first data.
func (c *Conn) Begun() <-chan struct{} { return c.begun }

// Done is closed when the conversation has been closed.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Add gives the Conn a carrier of packets. The Conn owns it from now on and
// drops it when it ends. On a closed Conn it is closed at once.
func (c *Conn) Add(packets carrier.Conn) *Path {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	p := newPath(c, packets, now)
	if c.closed {
		p.gone = true
		p.once.Do(func() { p.err = carrier.ErrClosed })
		p.stop()
		packets.Close()
		close(p.done)
		return p
	}
	p.life.idleDue = now + rand.N(idleAfter)
	for _, q := range c.paths {
		if q.life.doubt {
			c.releaseLocked(q) // here is where it can go
		}
	}
	c.paths = append(c.paths, p)
	c.tasks.Add(1)
	go p.run()
	c.stepLocked(now)
	return p
}

// drop takes a path out, and what it held back.
func (c *Conn) drop(p *Path) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, q := range c.paths {
		if q == p {
			c.paths = append(c.paths[:i:i], c.paths[i+1:]...)
			break
		}
	}
	c.releaseLocked(p)
	p.gone = true
	for p.urgent.count > 0 {
		p.urgent.pop().free()
	}
	c.stepLocked(c.now())
}

// take is what a path's writer sends next.
func (c *Conn) take(p *Path, batch []*packet) []*packet {
	c.mu.Lock()
	defer c.mu.Unlock()
	full := p.waiting >= pathQueue
	batch = p.takeLocked(batch)
	if full {
		c.stepLocked(c.now())
	}
	return batch
}

// Paths says how the paths are doing.
func (c *Conn) Paths() []PathInfo {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	infos := make([]PathInfo, len(c.paths))
	for i, p := range c.paths {
		infos[i] = p.infoLocked(now)
	}
	return infos
}

// RTT is the shortest round trip of a path that is not in doubt, and a guess
// where none is known.
func (c *Conn) RTT() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	best := time.Duration(0)
	for _, p := range c.paths {
		if rtt := p.fl.srtt; rtt > 0 && !p.life.doubt && (best == 0 || rtt < best) {
			best = rtt
		}
	}
	if best == 0 {
		return firstRTT
	}
	return best
}

// Stats counts the conversation's segments.
func (c *Conn) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats
}

// Read implements io.Reader. It waits for data; after Close it returns
// net.ErrClosed.
func (c *Conn) Read(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if c.closed {
			return 0, net.ErrClosed
		}
		tight := c.rcv.window() == 0
		if n := c.rcv.read(b); n > 0 || len(b) == 0 {
			if tight && c.rcv.window() > 0 && len(c.paths) > 0 {
				c.urgeLocked(c.ackPathLocked(), cmdTell) // there is room again
			}
			return n, nil
		}
		c.readable.Wait()
	}
}

// Write implements io.Writer. It waits while the paths do not keep up.
func (c *Conn) Write(b []byte) (int, error) { return c.WriteBuffers([][]byte{b}) }

// WriteBuffers writes several pieces as one; smux uses it to spare a copy.
func (c *Conn) WriteBuffers(v [][]byte) (n int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.closed && c.fullLocked() {
		c.blocked = true
		c.writable.Wait()
	}
	if c.closed {
		return 0, io.ErrClosedPipe
	}
	size := c.segmentLocked()
	for _, b := range v {
		c.snd.write(b, size)
		n += len(b)
	}
	c.stepLocked(c.now())
	return n, nil
}

// segmentLocked is how much data a segment holds: what leaves as one packet on
// every path there is, and on a lossy one that may come.
func (c *Conn) segmentLocked() int {
	size := maxPacket
	if len(c.paths) == 0 {
		size = lossyPacket
	}
	for _, p := range c.paths {
		size = min(size, p.fit)
	}
	return size - headerLen
}

// lossyPacket is the packet that fits lossy carriers: one SCTP packet of 1,191
// bytes, less its headers and those of the framing by message.
const lossyPacket = 1140

// fullLocked reports whether Write has to wait.
func (c *Conn) fullLocked() bool {
	return c.snd.unsent >= c.backlogLocked() || c.snd.held >= c.limit
}

// backlogLocked is how much may wait for a path.
func (c *Conn) backlogLocked() int {
	rate := 0.0
	for _, p := range c.paths {
		rate += p.ctl.pace()
	}
	return max(backlogMin, int(rate*backlogTime.Seconds()))
}

// Drained waits until the other end has acknowledged all that was written.
func (c *Conn) Drained(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.drained.Broadcast()
	})()
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.snd.empty() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if c.closed {
			return net.ErrClosed
		}
		c.drained.Wait()
	}
	return nil
}

// Close ends the conversation at this end and every path, and waits for their
// goroutines. The other end is not told: KCP has no word for it.
func (c *Conn) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		c.tasks.Wait()
		return net.ErrClosed
	}
	c.closed = true
	close(c.done)
	paths := append([]*Path(nil), c.paths...)
	c.timer.Stop()
	c.readable.Broadcast()
	c.writable.Broadcast()
	c.drained.Broadcast()
	c.mu.Unlock()
	for _, p := range paths {
		p.end(carrier.ErrClosed)
	}
	c.tasks.Wait()
	return nil
}
