// Package carriertest gives tests a carrier.Conn without a network, and the
// contract that every carrier must pass.
//
// Pair returns two joined Conns with a chosen delay, loss and capacity, either
// of which can be made to die at once and in silence, as a volunteer does who
// closes a laptop. Check runs the contract suite against any carrier.
package carriertest

import (
	"context"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"flurry/common/carrier"
)

// Options shape a Pair. The zero value is a fast, lossless, reliable pipe.
type Options struct {
	Delay      time.Duration // one way, for every message
	Loss       float64       // probability that a message vanishes; only with Datagram set
	Datagram   bool          // message edges are kept and messages may be lost: Traits.Stream is false
	Capacity   int           // messages accepted by Send and not yet received, each way; 0 means 64
	MaxMessage int           // 0 means 65535
	Seed       uint64        // of the losses
}

// Conn is one end of a Pair.
type Conn struct {
	opts Options

	in, out *pipe
	rng     *rand.Rand // used by Send only

	rest []byte // of a message longer than Recv's buffer; used by Recv only

	once sync.Once
	done chan struct{}
	err  atomic.Pointer[error]
	peer *Conn
	dead atomic.Bool
}

type pipe struct {
	ch     chan message
	queued atomic.Int64
	ended  chan struct{} // closed when the sender has closed: what is in ch still counts
}

type message struct {
	due  time.Time
	data []byte
}

// Pair returns two joined Conns. The caller closes both.
func Pair(o Options) (a, b *Conn) {
	if o.Capacity == 0 {
		o.Capacity = 64
	}
	if o.MaxMessage == 0 {
		o.MaxMessage = 65535
	}
	ab := &pipe{ch: make(chan message, o.Capacity), ended: make(chan struct{})}
	ba := &pipe{ch: make(chan message, o.Capacity), ended: make(chan struct{})}
	a = &Conn{opts: o, in: ba, out: ab, done: make(chan struct{}), rng: rand.New(rand.NewPCG(o.Seed, 1))}
	b = &Conn{opts: o, in: ab, out: ba, done: make(chan struct{}), rng: rand.New(rand.NewPCG(o.Seed, 2))}
	a.peer, b.peer = b, a
	return a, b
}

// Send implements carrier.Conn.
func (c *Conn) Send(ctx context.Context, msg []byte) error {
	if len(msg) > c.opts.MaxMessage {
		return carrier.ErrTooLong
	}
	select {
	case <-c.done:
		return c.sendErr()
	default:
	}
	if c.opts.Datagram && c.rng.Float64() < c.opts.Loss {
		return nil
	}
	m := message{due: time.Now().Add(c.opts.Delay), data: append([]byte(nil), msg...)}
	c.out.queued.Add(int64(len(msg)))
	select {
	case c.out.ch <- m:
		return nil
	case <-ctx.Done():
		c.out.queued.Add(-int64(len(msg)))
		return ctx.Err()
	case <-c.done:
		c.out.queued.Add(-int64(len(msg)))
		return c.sendErr()
	}
}

func (c *Conn) sendErr() error {
	if err := c.Err(); err != nil && err != io.EOF {
		return err
	}
	return carrier.ErrClosed
}

// Recv implements carrier.Conn.
func (c *Conn) Recv(buf []byte) (int, error) {
	if len(c.rest) > 0 {
		n := copy(buf, c.rest)
		c.rest = c.rest[n:]
		return n, nil
	}
	m, err := c.next()
	if err != nil {
		return 0, err
	}
	n := copy(buf, m.data)
	if !c.opts.Datagram {
		c.rest = m.data[n:]
	}
	return n, nil
}

func (c *Conn) next() (message, error) {
	select {
	case <-c.done:
		return message{}, carrier.ErrClosed
	default:
	}
	var m message
	select {
	case m = <-c.in.ch:
	case <-c.done:
		return message{}, carrier.ErrClosed
	case <-c.in.ended:
		select {
		case m = <-c.in.ch: // sent before the end
		default:
			c.end(io.EOF)
			return message{}, io.EOF
		}
	}
	if wait := time.Until(m.due); wait > 0 {
		t := time.NewTimer(wait)
		defer t.Stop()
		select {
		case <-t.C:
		case <-c.done:
			return message{}, carrier.ErrClosed
		}
	}
	if c.peer.dead.Load() || c.dead.Load() {
		<-c.done // silence: what was under way never arrives
		return message{}, carrier.ErrClosed
	}
	c.in.queued.Add(-int64(len(m.data)))
	return m, nil
}

// Queued implements carrier.Conn.
func (c *Conn) Queued() int { return int(c.out.queued.Load()) }

// Traits implements carrier.Conn.
func (c *Conn) Traits() carrier.Traits {
	return carrier.Traits{Kind: "mem", Stream: !c.opts.Datagram, Lossy: c.opts.Datagram, MaxMessage: c.opts.MaxMessage}
}

// Done implements carrier.Conn.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err implements carrier.Conn.
func (c *Conn) Err() error {
	if p := c.err.Load(); p != nil {
		return *p
	}
	return nil
}

// Close implements carrier.Conn. The other end still receives what was sent.
func (c *Conn) Close() error {
	c.end(carrier.ErrClosed)
	return nil
}

func (c *Conn) end(err error) {
	c.once.Do(func() {
		c.err.Store(&err)
		close(c.done)
		if !c.dead.Load() {
			close(c.out.ended)
		}
	})
}

// Kill makes this end vanish without a word: its own calls fail, the other end
// hears nothing more and can send until the pipe is full.
func (c *Conn) Kill() {
	c.dead.Store(true)
	c.end(carrier.ErrClosed)
}
