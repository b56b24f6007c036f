package snowclient

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"flurry/common/messages"
	"flurry/common/multipath"
	"flurry/common/sealed"
	"flurry/common/turbotunnel"
)

// Times of the rendezvous through the tunnel. The path that the request takes may
// just have died, which is when a proxy is needed most: so none is long.
const (
	// takenWait is how long the bridge may take to say that a request has
	// arrived, before the outside rendezvous is asked too: a round trip, long
	// even for a satellite.
	takenWait = 750 * time.Millisecond

	// replyWait is the same for the reply, from then on. Volunteers mostly
	// answer within two seconds.
	replyWait = 3 * time.Second

	// helloTimeout is how long a control stream may take to say what it is.
	// The hello is written right behind its opening.
	helloTimeout = 30 * time.Second

	// slowAsk is how long the first request of a session holds back others, so
	// that they can take the tunnel. One that takes longer needs company.
	slowAsk = 2 * time.Second

	// offerWait is how long they wait then for the tunnel to be offered: the
	// opening of the carrier and a round trip.
	offerWait = 1500 * time.Millisecond

	// maxStrikes is how many requests in a row may be late before the tunnel
	// is put aside for asideTime, and asideTime also what a refusal by the
	// bridge costs, which means that it has enough to do.
	maxStrikes = 3
	asideTime  = time.Minute
)

// Values of the label "result" of requests through the tunnel, beside resultOK
// and resultFailed.
const resultLate = "late" // another way was faster

// An inBand is the rendezvous of a Transport: while a session lives whose bridge
// passes requests on to the broker, they go through the tunnel, sealed, and
// otherwise, or when that fails or is slow, by the outside rendezvous, which the
// censor sees. All methods may be called from any goroutine.
//
//	Exchange ─┬─ link.ask ══ tunnel ══ bridge ── broker
//	          └─ outside.Exchange ── front ── broker
type inBand struct {
	// Fixed after construction.
	outside Rendezvous
	off     bool // only ever ask outside
	log     *slog.Logger
	count   func(result string) // one request through the tunnel

	// Guarded by mu.
	mu         sync.Mutex
	link       *link             // of the newest session that has one
	key        *sealed.PublicKey // the broker's; nil before its first answer
	absent     bool              // this bridge or broker does not do it, as far as we have seen
	aside      time.Time         // until then the tunnel is not used
	strikes    int               // late requests in a row
	asking     int               // outside requests under way
	askedAt    time.Time         // when the first of these began
	answeredAt time.Time         // of the last outside answer in this session; zero before
	changed    chan struct{}     // closed, and made anew, when any of these changes
}

func newInBand(outside Rendezvous, off bool, log *slog.Logger, count func(result string)) *inBand {
	return &inBand{outside: outside, off: off, log: log, count: count, changed: make(chan struct{})}
}

// wakeLocked makes those look again who wait for a change.
func (b *inBand) wakeLocked() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// reachable tells whether the session has a path on which nothing is overdue.
// Without one a request through the tunnel would wait for the very proxy that it
// asks for.
func (s *session) reachable() bool {
	return slices.ContainsFunc(s.paths.Paths(), func(p multipath.PathInfo) bool { return !p.Doubt })
}

// serve takes the streams that the bridge opens in a session, until the session
// ends. The first may become the way to the broker; every other is closed.
// reachable tells whether the bridge seems to be in reach now.
func (b *inBand) serve(tunnel interface{ AcceptStream() (net.Conn, error) }, reachable func() bool) {
	b.mu.Lock()
	b.answeredAt = time.Time{}
	b.mu.Unlock()
	var tasks sync.WaitGroup
	defer tasks.Wait()
	for first := true; ; first = false {
		conn, err := tunnel.AcceptStream()
		if err != nil {
			return
		}
		if b.off || !first {
			conn.Close() // its error says that the session has ended
			continue
		}
		tasks.Go(func() { b.use(conn, reachable) })
	}
}

// use makes conn the way to the broker until it ends.
func (b *inBand) use(conn net.Conn, reachable func() bool) {
	control, err := turbotunnel.AcceptControl(conn, helloTimeout)
	if err != nil {
		b.log.Debug("the bridge opened a stream for nothing", "err", err)
		return
	}
	b.log.Debug("the bridge passes requests on to the broker")
	l := newLink(control, reachable)
	b.mu.Lock()
	b.link, b.absent, b.strikes, b.aside = l, false, 0, time.Time{}
	b.wakeLocked()
	b.mu.Unlock()
	err = l.run()
	b.log.Debug("the bridge passes requests on no more", "err", err)
	b.mu.Lock()
	if b.link == l {
		b.link = nil
	}
	b.wakeLocked()
	b.mu.Unlock()
}

// Prepare makes the outside rendezvous ready, if that is where the next Exchange
// goes and it has a way to. Otherwise the front is not to see anything.
func (b *inBand) Prepare() {
	b.mu.Lock()
	wait, _ := b.holdLocked(time.Now())
	inside := b.usableLocked(time.Now())
	b.mu.Unlock()
	if !inside && wait == 0 {
		prepare(b.outside)
	}
}

// Exchange implements Rendezvous.
func (b *inBand) Exchange(ctx context.Context, request []byte) ([]byte, error) {
	if b.off {
		return b.outside.Exchange(ctx, request)
	}
	l, key, err := b.choose(ctx)
	if err != nil {
		return nil, err
	}
	if l == nil {
		return b.ask(ctx, request)
	}
	return b.hedge(ctx, l, key, request)
}

// usableLocked tells whether requests go through the tunnel now.
func (b *inBand) usableLocked(now time.Time) bool {
	return !b.off && b.link != nil && b.key != nil && !now.Before(b.aside) && b.link.reachable()
}

// holdLocked says how long an outside request should wait for the tunnel: zero
// if there is nothing to wait for, with absent if waiting has been in vain.
func (b *inBand) holdLocked(now time.Time) (wait time.Duration, absent bool) {
	switch {
	case b.off || b.absent || b.link != nil:
		return 0, false
	case b.asking > 0:
		return max(0, slowAsk-now.Sub(b.askedAt)), false
	case b.answeredAt.IsZero():
		return 0, false
	case b.key == nil:
		return 0, true
	}
	wait = max(0, offerWait-now.Sub(b.answeredAt))
	return wait, wait == 0
}

// choose gives the link to ask through and the key to seal with. No link means
// outside; the caller must then call ask. It waits if the tunnel is about to be
// there.
func (b *inBand) choose(ctx context.Context) (*link, *sealed.PublicKey, error) {
	for {
		now := time.Now()
		b.mu.Lock()
		if b.usableLocked(now) {
			defer b.mu.Unlock()
			return b.link, b.key, nil
		}
		wait, absent := b.holdLocked(now)
		if wait == 0 {
			b.absent = b.absent || absent
			b.beginLocked(now)
			b.mu.Unlock()
			return nil, nil, nil
		}
		changed := b.changed
		b.mu.Unlock()
		timer := time.NewTimer(wait)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, nil, context.Cause(ctx)
		}
		timer.Stop()
	}
}

// beginLocked counts in an outside request.
func (b *inBand) beginLocked(now time.Time) {
	if b.asking == 0 {
		b.askedAt = now
	}
	b.asking++
}

// ask asks outside, counted in already, and learns the broker's key.
func (b *inBand) ask(ctx context.Context, request []byte) ([]byte, error) {
	reply, err := b.outside.Exchange(ctx, request)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asking--
	if err == nil {
		b.learnLocked(reply)
	}
	b.wakeLocked()
	return reply, err
}

// learnLocked takes the broker's key from an answer. A broker that has none
// cannot be asked through the tunnel.
func (b *inBand) learnLocked(reply []byte) {
	resp, err := messages.DecodeClientPollResponse(reply)
	if err != nil || resp.Answer == "" {
		return
	}
	b.answeredAt = time.Now()
	if b.key != nil && b.key.String() == resp.Key {
		return
	}
	b.key = nil
	if resp.Key == "" {
		return
	}
	if b.key, err = sealed.ParsePublicKey(resp.Key); err != nil {
		b.log.Debug("the broker's key is of no use", "err", err)
		b.key = nil
	}
}

// An inBandResult is what one of two ways came to.
type inBandResult struct {
	reply []byte
	err   error
}

// hedge asks through the tunnel, and outside too as soon as that fails or takes
// long. The first reply counts; the other way is called off and waited for.
func (b *inBand) hedge(ctx context.Context, l *link, key *sealed.PublicKey, request []byte) ([]byte, error) {
	var tasks sync.WaitGroup
	defer tasks.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	taken := make(chan struct{}, 1)
	inside, outside := make(chan inBandResult, 1), make(chan inBandResult, 1)
	tasks.Go(func() {
		reply, err := b.askInside(ctx, l, key, request, taken)
		inside <- inBandResult{reply, err}
	})
	asked := false
	askOutside := func() {
		if asked {
			return
		}
		asked = true
		b.mu.Lock()
		b.beginLocked(time.Now())
		b.mu.Unlock()
		tasks.Go(func() {
			reply, err := b.ask(ctx, request)
			outside <- inBandResult{reply, err}
		})
	}
	late := time.NewTimer(takenWait)
	defer late.Stop()
	var failed error // the way that has failed already
	for {
		var r inBandResult
		select {
		case <-taken:
			late.Reset(replyWait)
			continue
		case <-late.C:
			b.log.Debug("the way through the tunnel is slow")
			b.strike(false)
			askOutside()
			continue
		case r = <-inside:
			if r.err == nil {
				b.inTime()
				return r.reply, nil
			}
			late.Stop()
			b.log.Debug("the way through the tunnel fails", "err", r.err)
			if ctx.Err() == nil {
				b.count(resultFailed)
				b.strike(errors.Is(r.err, errBridgeFailed))
				askOutside()
			}
		case r = <-outside:
			if r.err == nil {
				if failed == nil {
					b.count(resultLate)
				}
				return r.reply, nil
			}
		}
		switch {
		case failed != nil:
			return nil, fmt.Errorf("%w; %w", failed, r.err)
		case !asked:
			return nil, r.err
		}
		failed = r.err
	}
}

// askInside makes one request through the tunnel.
func (b *inBand) askInside(ctx context.Context, l *link, key *sealed.PublicKey, request []byte, taken chan<- struct{}) ([]byte, error) {
	closed, opens, err := key.Seal(request)
	if err != nil {
		return nil, err
	}
	reply, err := l.ask(ctx, closed, taken)
	if err != nil {
		return nil, err
	}
	text, err := opens.Open(reply)
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case err == nil:
		b.learnLocked(text)
	case b.key == key: // another broker, or another key: its next answer outside brings it
		b.key = nil
	}
	if err != nil {
		return nil, fmt.Errorf("the broker's reply through the tunnel: %w", err)
	}
	return text, nil
}

// strike notes a request that was late, or refused by the bridge.
func (b *inBand) strike(refused bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.strikes++
	if refused || b.strikes >= maxStrikes {
		b.strikes = 0
		b.aside = time.Now().Add(asideTime)
	}
}

// inTime notes a request that brought a reply.
func (b *inBand) inTime() {
	b.count(resultOK)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.strikes = 0
}
