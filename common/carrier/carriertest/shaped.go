package carriertest

import (
	"context"
	"io"
	"sync"
	"sync/atomic"

	"flurry/common/carrier"
	"flurry/common/simnet/line"
)

// Kind is what a shaped pair promises.
type Kind int

const (
	// Lossy packets arrive whole or not at all, in any order: what package
	// turbotunnel makes of an unordered channel. Send does not block unless
	// Shaped.Buffer is set; what finds the line's queue full is dropped.
	Lossy Kind = iota

	// Ordered packets all arrive, whole and in order: what package turbotunnel
	// makes of a reliable channel. Send blocks when the buffer is full.
	Ordered

	// Stream is an Ordered that also promises carrier.Traits.Stream: a hop
	// below turbotunnel.
	Stream
)

// Shaped says what ShapedPair makes. Loss on the line costs an Ordered or a
// Stream pair time and holds back what follows; reordering likewise.
type Shaped struct {
	Kind   Kind
	AB, BA line.Shape // of the lines that this pair has for itself

	// ThenAB and ThenBA are lines behind the pair's own that several pairs
	// may share: the one narrow line of a home with two volunteers.
	ThenAB, ThenBA []*line.Line

	// Buffer bounds the bytes that Send has accepted and the other end's Recv
	// has not returned, each way. 0 means 512 KiB for Ordered and Stream, as
	// the deployed proxy keeps unacknowledged, and no bound for Lossy.
	Buffer int

	// MaxMessage is as in carrier.Traits. 0 means 1400 for packets, 65535 for
	// a Stream.
	MaxMessage int

	// Fit is as in carrier.Traits. 0 means 1140 for Lossy.
	Fit int
}

const (
	streamBuffer = 512 << 10

	// receiveBuffer bounds what a Lossy end keeps for a slow reader, as a UDP
	// socket with a large buffer does; more is dropped.
	receiveBuffer = 4 << 20
)

// ShapedConn is one end of a shaped pair. All time that passes is that of
// timers: it works in a bubble of testing/synctest, where it starts no
// goroutine that lasts.
type ShapedConn struct {
	traits carrier.Traits
	buffer int
	out    *shapedWay // what this end sends
	in     *shapedWay // what it receives

	once sync.Once
	done chan struct{}
	err  atomic.Pointer[error]
	dead atomic.Bool
}

// shapedWay is one direction of a pair.
type shapedWay struct {
	kind  Kind
	lines []*line.Line  // the first is the pair's own
	room  chan struct{} // there may be room for Send; buffered
	ready chan struct{} // there is something for Recv; buffered

	mu      sync.Mutex
	under   int                      // bytes accepted and neither received nor lost
	sendSeq uint64                   // of the next packet
	recvSeq uint64                   // Ordered, Stream: of the next packet to receive
	early   map[uint64]*shapedPacket // Ordered, Stream: arrived before their turn
	inbox   *shapedPacket            // list of what has arrived, in the order for Recv
	inLast  *shapedPacket            // its end; means nothing while the list is empty
	inBytes int                      // in inbox
	ended   bool                     // the sender's Close has arrived
	deaf    bool                     // one of the ends was killed: nothing arrives
	spare   []*shapedPacket          // packets for further use
}

// ShapedPair returns two joined Conns. The caller closes both.
func ShapedPair(o Shaped) (a, b *ShapedConn) {
	traits := carrier.Traits{Kind: "mem", MaxMessage: o.MaxMessage, Fit: o.Fit, Lossy: o.Kind == Lossy, Stream: o.Kind == Stream}
	if traits.MaxMessage == 0 {
		traits.MaxMessage = 1400
		if traits.Stream {
			traits.MaxMessage = 65535
		}
	}
	if traits.Fit == 0 && traits.Lossy {
		traits.Fit = 1140
	}
	if o.Buffer == 0 && o.Kind != Lossy {
		o.Buffer = streamBuffer
	}
	ab, ba := newWay(o.Kind, o.AB, o.ThenAB), newWay(o.Kind, o.BA, o.ThenBA)
	a = &ShapedConn{traits: traits, buffer: o.Buffer, out: ab, in: ba, done: make(chan struct{})}
	b = &ShapedConn{traits: traits, buffer: o.Buffer, out: ba, in: ab, done: make(chan struct{})}
	return a, b
}

func newWay(kind Kind, s line.Shape, then []*line.Line) *shapedWay {
	return &shapedWay{
		kind: kind, lines: append([]*line.Line{line.New(s)}, then...),
		room: make(chan struct{}, 1), ready: make(chan struct{}, 1), early: make(map[uint64]*shapedPacket),
	}
}

// Line is the pair's own line from this end to the other: its shape can be
// changed and its counts read at any time.
func (c *ShapedConn) Line() *line.Line { return c.out.lines[0] }

// Silence turns the pair silent, or lets it speak again: nothing arrives either
// way and neither end is told. Meanwhile Lossy packets vanish, others wait.
func (c *ShapedConn) Silence(on bool) {
	c.out.lines[0].Silence(on)
	c.in.lines[0].Silence(on)
}

// Kill makes this end vanish without a word: its own calls fail, the other end
// hears nothing more, for good.
func (c *ShapedConn) Kill() {
	c.dead.Store(true)
	c.out.deafen()
	c.in.deafen()
	c.end(carrier.ErrClosed)
}

// Send implements carrier.Conn.
func (c *ShapedConn) Send(ctx context.Context, msg []byte) error {
	if len(msg) > c.traits.MaxMessage {
		return carrier.ErrTooLong
	}
	for {
		select {
		case <-c.done:
			return c.sendErr()
		default:
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		p, ok := c.out.accept(msg, c.buffer)
		if ok {
			c.out.lines[0].Put(p)
			return nil
		}
		select {
		case <-c.out.room:
		case <-ctx.Done():
		case <-c.done:
		}
	}
}

// SendBatch implements carrier.BatchSender.
func (c *ShapedConn) SendBatch(ctx context.Context, msgs [][]byte) error {
	for _, m := range msgs {
		if err := c.Send(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

func (c *ShapedConn) sendErr() error {
	if err := c.Err(); err != nil && err != io.EOF {
		return err
	}
	return carrier.ErrClosed
}

// Recv implements carrier.Conn.
func (c *ShapedConn) Recv(buf []byte) (int, error) {
	for {
		select {
		case <-c.done:
			return 0, carrier.ErrClosed
		default:
		}
		if n, ok := c.in.take(buf); ok {
			return n, nil
		}
		if c.in.isEnded() {
			c.end(io.EOF)
			return 0, io.EOF
		}
		select {
		case <-c.in.ready:
		case <-c.done:
		}
	}
}

// Queued implements carrier.Conn: bytes that have neither been received nor lost.
func (c *ShapedConn) Queued() int {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	return c.out.under
}

// Traits implements carrier.Conn.
func (c *ShapedConn) Traits() carrier.Traits { return c.traits }

// Done implements carrier.Conn.
func (c *ShapedConn) Done() <-chan struct{} { return c.done }

// Err implements carrier.Conn.
func (c *ShapedConn) Err() error {
	if p := c.err.Load(); p != nil {
		return *p
	}
	return nil
}

// Close implements carrier.Conn. The other end still receives what was sent, and
// the news of the end travels behind it on the lines.
func (c *ShapedConn) Close() error {
	c.end(carrier.ErrClosed)
	return nil
}

func (c *ShapedConn) end(err error) {
	c.once.Do(func() {
		c.err.Store(&err)
		close(c.done)
		if !c.dead.Load() {
			c.out.lines[0].Put(c.out.farewell())
		}
	})
}
