package snowserver

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"flurry/common/turbotunnel"
)

// A Rendezvous takes one request of a client to the broker and brings back the
// reply, in the time that ctx leaves. What both say is sealed: the bridge is not
// to look into it, and cannot. It may be called from several goroutines at once
// and must not keep request.
type Rendezvous interface {
	Exchange(ctx context.Context, request []byte) (reply []byte, err error)
}

// Limits of what clients may ask by way of the bridge. A refused client goes to
// the broker by its own way, as all did before.
const (
	// sessionRequests bounds what one session may have under way, and ask in
	// one go: one request for each of the most proxies that our client uses.
	sessionRequests = 32

	// sessionRate is how many requests a second one session may make in the
	// long run. Volunteers stay minutes.
	sessionRate = 1

	// totalRequests bounds the requests under way of all sessions. Each holds
	// a request and a reply: at worst 60 MB in all, mostly 2 MB.
	totalRequests = 512

	// totalRate is how many requests a second go to the broker in the long
	// run: a new volunteer every two minutes for each of 30,000 users.
	totalRate = 250

	// maxRequest is the longest request that is passed on. Sealed offers take
	// 2 to 4 KB.
	maxRequest = 16 << 10
)

const (
	// helloTimeout is how long a client may take to say that it knows control
	// streams. It is also what deployed clients, which never say it, cost us: a
	// goroutine and a stream for so long.
	helloTimeout = 30 * time.Second

	// cancelGrace is how long a request waits for its own cancellation. One
	// that was written while the session had no path arrives together with
	// that, long after the client went another way: it must not cost a
	// volunteer.
	cancelGrace = 30 * time.Millisecond

	// exchangeTimeout bounds a broker's reply. It waits 5 s for an answer (spec
	// section 2.3).
	exchangeTimeout = 12 * time.Second
)

// InBandStats counts requests to the broker by way of the bridge since the
// start.
type InBandStats struct {
	Clients  uint64 // sessions whose client knows control streams
	Replied  uint64 // requests that brought a reply
	Failed   uint64 // requests that the broker did not reply to
	Refused  uint64 // requests over a limit
	Canceled uint64 // requests that the client took back, or left behind
}

// A desk takes the clients' requests to the broker. All sessions of a Table share
// it. Its methods may be called from any goroutine.
type desk struct {
	// fixed after construction
	broker Rendezvous
	hello  time.Duration // helloTimeout
	slots  chan struct{} // one for each request under way

	mu   sync.Mutex
	rate allowance // guarded by mu

	// atomic
	clients, replied, failed, refused, canceled atomic.Uint64
}

func newDesk(broker Rendezvous) *desk {
	return &desk{
		broker: broker,
		hello:  helloTimeout,
		slots:  make(chan struct{}, totalRequests),
		rate:   newAllowance(totalRate, totalRequests),
	}
}

func (d *desk) stats() InBandStats {
	return InBandStats{
		Clients: d.clients.Load(), Replied: d.replied.Load(), Failed: d.failed.Load(),
		Refused: d.refused.Load(), Canceled: d.canceled.Load(),
	}
}

// InBand counts what clients have asked through the tunnel. It is zero without
// Config.Rendezvous.
func (t *Table) InBand() InBandStats {
	if d := t.out.cfg.desk; d != nil {
		return d.stats()
	}
	return InBandStats{}
}

// InBand counts what clients have asked through the tunnel. It is zero without
// Config.Rendezvous.
func (l *Listener) InBand() InBandStats { return l.table.InBand() }

// admit takes one of the slots, or says that there is none, or that it would be
// too much in too short a time. The caller gives the slot back.
func (d *desk) admit() bool {
	d.mu.Lock()
	ok := d.rate.take(time.Now())
	d.mu.Unlock()
	if !ok {
		return false
	}
	select {
	case d.slots <- struct{}{}:
		return true
	default:
		return false
	}
}

// serve offers a control stream to the session's client and serves it until
// either ends. Most of its life it waits in a read.
func (d *desk) serve(tunnel interface {
	OpenStream(ctx context.Context) (net.Conn, error)
}) {
	ctx, cancel := context.WithTimeout(context.Background(), d.hello)
	conn, err := tunnel.OpenStream(ctx)
	cancel()
	if err != nil {
		return // the session has ended
	}
	control, err := turbotunnel.OfferControl(conn, d.hello)
	if err != nil {
		return // a client that knows nothing of it
	}
	d.clients.Add(1)
	c := &clerk{
		desk: d, control: control,
		rate: newAllowance(sessionRate, sessionRequests),
		open: make(map[uint32]context.CancelFunc),
	}
	c.run()
}

// A clerk serves one control stream.
type clerk struct {
	// fixed after construction
	desk    *desk
	control *turbotunnel.Control
	tasks   sync.WaitGroup // the requests under way

	rate allowance // owned by run

	mu   sync.Mutex
	open map[uint32]context.CancelFunc // by id, the requests under way; guarded by mu
}

// run reads frames until the stream ends or the client breaks the rules.
func (c *clerk) run() {
	ctx, cancel := context.WithCancel(context.Background())
	defer c.tasks.Wait()
	defer cancel()
	defer c.control.Close()
	for {
		f, err := c.control.Next()
		if err != nil {
			return
		}
		switch f.Kind {
		case turbotunnel.ControlRequest:
			err = c.request(ctx, f)
		case turbotunnel.ControlCanceled:
			c.cancel(f.ID)
		default:
			err = turbotunnel.ErrControlFrame // not a client's to send
		}
		if err != nil {
			return
		}
	}
}

// request starts one request, or refuses it.
func (c *clerk) request(ctx context.Context, f turbotunnel.ControlFrame) error {
	c.mu.Lock()
	_, known := c.open[f.ID]
	full := len(c.open) >= sessionRequests
	c.mu.Unlock()
	if known {
		return turbotunnel.ErrControlFrame
	}
	if full || len(f.Body) > maxRequest || !c.rate.take(time.Now()) || !c.desk.admit() {
		c.desk.refused.Add(1)
		return c.control.Send(turbotunnel.ControlFrame{Kind: turbotunnel.ControlFailed, ID: f.ID})
	}
	if err := c.control.Send(turbotunnel.ControlFrame{Kind: turbotunnel.ControlTaken, ID: f.ID}); err != nil {
		<-c.desk.slots
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	c.mu.Lock()
	c.open[f.ID] = cancel
	c.mu.Unlock()
	c.tasks.Go(func() {
		c.exchange(ctx, f)
		cancel()
		c.mu.Lock()
		delete(c.open, f.ID)
		c.mu.Unlock()
	})
	return nil
}

// cancel ends a request, if it is still under way.
func (c *clerk) cancel(id uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cancel := c.open[id]; cancel != nil {
		cancel()
	}
}

// exchange goes to the broker and tells the client what came of it.
func (c *clerk) exchange(ctx context.Context, f turbotunnel.ControlFrame) {
	reply, err := c.desk.ask(ctx, f.Body)
	<-c.desk.slots // a client that does not read keeps no slot from others
	answer := turbotunnel.ControlFrame{Kind: turbotunnel.ControlReply, ID: f.ID, Body: reply}
	if err != nil {
		answer.Kind, answer.Body = turbotunnel.ControlFailed, nil
	}
	// An error means that the stream has ended, which run notices.
	_ = c.control.Send(answer)
}

// errReplyTooLong is for a reply that no client would take.
var errReplyTooLong = errors.New("the broker's reply is too long")

// ask makes one request to the broker and counts how it ended.
func (d *desk) ask(ctx context.Context, request []byte) ([]byte, error) {
	grace := time.NewTimer(cancelGrace)
	defer grace.Stop()
	select {
	case <-grace.C:
	case <-ctx.Done():
		d.canceled.Add(1)
		return nil, ctx.Err()
	}
	limited, cancel := context.WithTimeout(ctx, exchangeTimeout)
	defer cancel()
	reply, err := d.broker.Exchange(limited, request)
	if err == nil && len(reply) > turbotunnel.MaxControlBody {
		err = errReplyTooLong
	}
	switch {
	case err == nil:
		d.replied.Add(1)
	case ctx.Err() != nil:
		d.canceled.Add(1)
	default:
		d.failed.Add(1)
	}
	return reply, err
}

// An allowance is a token bucket.
type allowance struct {
	perSecond, most float64
	left            float64
	at              time.Time // when left was right
}

// newAllowance starts full.
func newAllowance(perSecond, most float64) allowance {
	return allowance{perSecond: perSecond, most: most, left: most}
}

// take takes one, if there is one.
func (a *allowance) take(now time.Time) bool {
	if !a.at.IsZero() {
		a.left = min(a.most, a.left+now.Sub(a.at).Seconds()*a.perSecond)
	}
	a.at = now
	if a.left < 1 {
		return false
	}
	a.left--
	return true
}
