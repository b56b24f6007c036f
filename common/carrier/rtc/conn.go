package rtc

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"flurry/common/carrier"

	"github.com/pion/datachannel"
	"github.com/pion/sctp"
)

const (
	// maxMessage is the largest message sent: what peers without
	// a=max-message-size in their description must take (RFC 8841 section 6.1)
	// less one, for stacks that count from there.
	maxMessage = 65535

	// drainLimit bounds how long Close waits for accepted messages to be
	// acknowledged.
	drainLimit = 2 * time.Second
)

// Conn is an open data channel, of either Kind, as a carrier.Conn. A message
// longer than maxMessage from the other end ends the Conn.
type Conn struct {
	p           *peer
	channel     *datachannel.DataChannel
	association *sctp.Association
	traits      carrier.Traits

	room chan struct{} // something has been acknowledged; buffered

	window window // used by Send only
	sent   int64  // bytes that Send has accepted; used by Send only

	mu       sync.Mutex
	draining bool // guarded by mu: Close waits for the last acknowledgement

	buf, rest []byte // for Recvs with less room than a message may need; used by Recv only

	endOnce   sync.Once
	done      chan struct{}
	err       error // set before done is closed
	closing   atomic.Bool
	closeOnce sync.Once
	watching  chan struct{} // closed when watch has returned
}

func newConn(p *peer, channel *datachannel.DataChannel, association *sctp.Association) *Conn {
	c := &Conn{p: p, channel: channel, association: association, traits: kindOf(channel.ChannelType).traits(),
		room: make(chan struct{}, 1), done: make(chan struct{}), watching: make(chan struct{}),
		window: newWindow(time.Now())}
	c.wakeBelow(windowStart)
	channel.OnBufferedAmountLow(func() {
		select {
		case c.room <- struct{}{}:
		default:
		}
	})
	return c
}

// watch ends the Conn when the connection below fails. That either end has
// closed it shows in Recv, after all that came before.
func (c *Conn) watch() {
	defer close(c.watching)
	select {
	case <-c.p.failed:
		c.end(ErrFailed)
		c.channel.SetReadDeadline(time.Unix(1, 0)) // frees a Recv
	case <-c.done:
	}
}

// Label is the channel's label, chosen by the offerer.
func (c *Conn) Label() string { return c.channel.Config.Label }

// Send implements carrier.Conn.
func (c *Conn) Send(ctx context.Context, msg []byte) error {
	if len(msg) > c.traits.MaxMessage {
		return carrier.ErrTooLong
	}
	c.measure()
	for c.Queued() >= c.window.size {
		c.window.hindered = true
		select {
		case <-c.room:
			c.measure()
		case <-c.done:
			return c.err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	select {
	case <-c.done:
		return c.err
	default:
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, err := c.channel.Write(msg); err != nil {
		return c.end(err)
	}
	c.sent += int64(len(msg))
	return nil
}

// measure sets the window by what has been acknowledged, once a round trip.
func (c *Conn) measure() {
	now := time.Now()
	if !c.window.due(now) {
		return
	}
	before := c.window.size
	rtt := time.Duration(c.association.SRTT() * float64(time.Millisecond))
	c.window.observe(now, c.sent-int64(c.Queued()), rtt)
	if c.window.size != before {
		c.wakeBelow(c.window.size)
	}
}

// wakeBelow makes Send hear of it when a quarter of a window of that size is
// free, not of every acknowledgement.
func (c *Conn) wakeBelow(size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.draining {
		c.channel.SetBufferedAmountLowThreshold(uint64(size - size/4))
	}
}

// Recv implements carrier.Conn. Empty messages are passed over. With a buf of
// 65535 bytes or more messages are read straight into it, and so they are on an
// unordered channel where they fit.
func (c *Conn) Recv(buf []byte) (int, error) {
	if c.traits.Lossy {
		return c.recvCut(buf)
	}
	if len(c.rest) == 0 {
		if len(buf) >= maxMessage {
			n, err := c.read(buf)
			return n, c.tooLong(err)
		}
		n, err := c.read(c.scratch())
		if err != nil {
			return 0, c.tooLong(err)
		}
		c.rest = c.buf[:n]
	}
	n := copy(buf, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// recvCut receives one message and what of it buf holds.
func (c *Conn) recvCut(buf []byte) (int, error) {
	n, err := c.read(buf)
	if errors.Is(err, io.ErrShortBuffer) { // the message is still there
		n, err = c.read(c.scratch())
		n = copy(buf, c.buf[:n])
	}
	return n, c.tooLong(err)
}

// scratch is room for any message, made when it is first needed.
func (c *Conn) scratch() []byte {
	if c.buf == nil {
		c.buf = make([]byte, maxMessage)
	}
	return c.buf
}

// read reads one message that is not empty. io.ErrShortBuffer, with the message
// left where it was, does not end the Conn; every other error does.
func (c *Conn) read(buf []byte) (int, error) {
	for {
		n, err := c.channel.Read(buf)
		switch {
		case errors.Is(err, io.ErrShortBuffer):
			return 0, err
		case err != nil:
			c.end(err)
			return 0, c.err
		case n > 0:
			return n, nil
		}
	}
}

// tooLong ends the Conn after a message that maxMessage bytes did not hold.
func (c *Conn) tooLong(err error) error {
	if errors.Is(err, io.ErrShortBuffer) {
		c.end(carrier.ErrTooLong)
		return c.err
	}
	return err
}

// Queued implements carrier.Conn: bytes that the other end has not
// acknowledged.
func (c *Conn) Queued() int { return int(c.channel.BufferedAmount()) }

// Traits implements carrier.Conn.
func (c *Conn) Traits() carrier.Traits { return c.traits }

// Done implements carrier.Conn.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err implements carrier.Conn.
func (c *Conn) Err() error {
	select {
	case <-c.done:
		return c.err
	default:
		return nil
	}
}

// Close implements carrier.Conn. It waits up to two seconds until the other
// end has acknowledged what was sent, unless the connection is known to be dead.
func (c *Conn) Close() error {
	c.closeOnce.Do(func() {
		c.drain()
		c.closing.Store(true)
		c.end(carrier.ErrClosed)
		if c.p.e.look.resets {
			c.channel.Close()
		}
		c.p.close()
		<-c.watching
	})
	return nil
}

func (c *Conn) drain() {
	c.mu.Lock()
	c.draining = true
	c.channel.SetBufferedAmountLowThreshold(0)
	c.mu.Unlock()
	t := time.NewTimer(drainLimit)
	defer t.Stop()
	for c.Queued() > 0 {
		select {
		case <-c.room:
		case <-t.C:
			return
		case <-c.p.failed:
			return
		case <-c.p.closed:
			return
		}
	}
}

// end notes why the Conn is over; the first reason stays.
func (c *Conn) end(err error) error {
	switch {
	case c.closing.Load():
		err = carrier.ErrClosed
	case errors.Is(err, sctp.ErrChunk), errors.Is(err, sctp.ErrResetPacketInStateNotExist):
		// An ABORT is how WebRTC stacks close. One that follows the channel's
		// reset at once leaves no time to reset it on this side too.
		err = io.EOF
	}
	c.endOnce.Do(func() {
		c.err = err
		close(c.done)
	})
	return err
}
