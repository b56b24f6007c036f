package snowproxy

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"flurry/common/carrier"
)

const (
	// pumpBuffer holds one message. It is the largest that either carrier
	// takes; of its pages only those that messages fill cost memory.
	pumpBuffer = 65535

	// idleLimit ends a connection on which nothing moves, silentLimit one on
	// which only the client speaks. KCP and smux make traffic both ways every
	// 10 s (spec section 8.2). The deployed proxy looks at the relay's side
	// only, for 30 s: that cuts off a client whose bridge is slow to answer.
	idleLimit   = 30 * time.Second
	silentLimit = 60 * time.Second
	idleTick    = 5 * time.Second

	// drainLimit bounds how long data that one end has received before it
	// ended may take to leave through the other.
	drainLimit = 3 * time.Second
)

// Reasons for the end of a pump.
var (
	errIdle   = errors.New("no traffic for 30 s")
	errSilent = errors.New("nothing from the relay for 60 s")
)

// A pump copies messages between a client's carrier and a relay's until one of
// them ends. It keeps message edges wherever both carriers have room for them,
// and over WebSocket and an unordered channel they have it for messages of up to
// 2048 bytes: the proxy's answers promise it. A longer one is divided, not
// dropped, so that whoever relies on edges sees at once that they are lost.
type pump struct {
	client, relay carrier.Conn
	tally         *tally

	up, down atomic.Int64 // messages from the client, from the relay
}

// ending says which carrier of a pump is over, and why; a nil conn means both.
type ending struct {
	conn carrier.Conn
	err  error
}

// run pumps until the client, the relay or ctx ends, or nothing moves any more,
// and closes both carriers. What the ended one had received has by then been
// handed to the other, as far as drainLimit allows: the last message of a
// client, which closes its stream, is not lost with the client.
func (p *pump) run(ctx context.Context) error {
	// Sends end when the carriers are closed, not with ctx: a cancelled Send
	// would tear the message that is leaving.
	sends := context.WithoutCancel(ctx)
	up, down := make(chan ending, 1), make(chan ending, 1)
	var loops sync.WaitGroup
	loops.Go(func() { up <- move(sends, p.relay, p.client, &p.up, &p.tally.outbound) })
	loops.Go(func() { down <- move(sends, p.client, p.relay, &p.down, &p.tally.inbound) })

	over := p.watch(ctx, up, down)
	switch over.conn {
	case p.client:
		drain(ctx, up)
	case p.relay:
		drain(ctx, down)
	}
	var closing sync.WaitGroup
	closing.Go(func() { p.client.Close() })
	closing.Go(func() { p.relay.Close() })
	closing.Wait()
	loops.Wait()
	return over.err
}

// watch waits until something ends the pump. The loop whose ending it consumes
// is the one that drain would wait for, or one that failed to send: up and down
// are closed channels in effect, so each ending is put back.
func (p *pump) watch(ctx context.Context, up, down chan ending) ending {
	tick := time.NewTicker(idleTick)
	defer tick.Stop()
	idle := idleClock{}
	for {
		select {
		case e := <-up:
			up <- e
			return e
		case e := <-down:
			down <- e
			return e
		case <-p.client.Done():
			return ending{p.client, p.client.Err()}
		case <-p.relay.Done():
			return ending{p.relay, p.relay.Err()}
		case <-tick.C:
			if err := idle.tick(p.up.Load(), p.down.Load()); err != nil {
				return ending{nil, err}
			}
		case <-ctx.Done():
			return ending{nil, ctx.Err()}
		}
	}
}

// drain waits for the loop that reads the carrier that is over.
func drain(ctx context.Context, loop chan ending) {
	t := time.NewTimer(drainLimit)
	defer t.Stop()
	select {
	case <-loop:
	case <-t.C:
	case <-ctx.Done():
	}
}

// idleClock measures silence in ticks, without a look at the clock for each
// message.
type idleClock struct {
	up, down     int64 // messages as of the last tick
	idle, silent time.Duration
}

func (c *idleClock) tick(up, down int64) error {
	c.idle += idleTick
	c.silent += idleTick
	if up != c.up || down != c.down {
		c.idle = 0
	}
	if down != c.down {
		c.silent = 0
	}
	c.up, c.down = up, down
	switch {
	case c.idle >= idleLimit:
		return errIdle
	case c.silent >= silentLimit:
		return errSilent
	}
	return nil
}

// move sends what src receives on to dst until one of them ends, and says
// which. If it was src, dst has taken everything that src had received.
func move(ctx context.Context, dst, src carrier.Conn, messages, bytes *atomic.Int64) ending {
	buf := make([]byte, pumpBuffer)
	largest := dst.Traits().MaxMessage
	for {
		n, err := src.Recv(buf)
		for msg := buf[:n]; len(msg) > 0; {
			piece := msg[:min(len(msg), largest)]
			if err := dst.Send(ctx, piece); err != nil {
				return ending{dst, err}
			}
			msg = msg[len(piece):]
		}
		if n > 0 {
			messages.Add(1)
			bytes.Add(int64(n))
		}
		if err != nil {
			return ending{src, err}
		}
	}
}
