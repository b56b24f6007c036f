package snowclient

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"flurry/common/carrier"
	"flurry/common/carrier/rtc"
	"flurry/common/messages"
	"flurry/common/sdp"
)

// attemptTimeout bounds one attempt as a whole: gathering candidates (2 s),
// rendezvousTimeout, and the 10 s wait for the channel, with
// room to spare. A Dialer that hangs must not use up the pool.
const attemptTimeout = 60 * time.Second

// orderedFor is for how long channels are ordered after a volunteer whose answer
// promised to keep message edges has not kept them. Most of those that would be
// asked meanwhile do keep them, and one path in so many minutes is bearable.
const orderedFor = 10 * time.Minute

// An rtcDialer makes WebRTC carriers: an unordered channel with a volunteer that
// is known to keep message edges, an ordered one with any other.
type rtcDialer struct {
	endpoint *rtc.Endpoint

	distrust atomic.Int64 // UnixNano until which all channels are ordered
}

func newRTCDialer(iceServers []string, cfg Config, log *slog.Logger) (*rtcDialer, error) {
	e, err := rtc.New(rtc.Config{ICEServers: iceServers, KeepLocalAddresses: cfg.KeepLocalAddresses, Profile: cfg.Profile, Logger: log})
	if err != nil {
		return nil, fmt.Errorf("set up WebRTC: %w", err)
	}
	return &rtcDialer{endpoint: e}, nil
}

// DialCarrier implements CarrierDialer.
func (d *rtcDialer) DialCarrier(ctx context.Context, signal SignalFunc) (carrier.Conn, error) {
	c, err := d.endpoint.DialKind(ctx, "", signal, d.kind)
	if err != nil {
		return nil, err // not c: a nil *rtc.Conn is no nil carrier.Conn
	}
	return rtcCarrier{c, d}, nil
}

// kind chooses the kind of channel for a volunteer by its answer.
func (d *rtcDialer) kind(answer string) rtc.Kind {
	if time.Now().UnixNano() >= d.distrust.Load() && sdp.KeepsEdges(answer) {
		return rtc.Unordered
	}
	return rtc.Reliable
}

// An rtcCarrier tells its dialer when its volunteer does not keep edges.
type rtcCarrier struct {
	*rtc.Conn
	dialer *rtcDialer
}

// EdgesLost implements turbotunnel.EdgeWatcher.
func (c rtcCarrier) EdgesLost() {
	c.dialer.distrust.Store(time.Now().Add(orderedFor).UnixNano())
}

// A stage is how far an attempt has come: where it failed says what to report.
type stage int

const (
	stageOffer    stage = iota // making our description
	stageExchange              // trading it at the broker; a failure has been told
	stageOpening               // we hold an answer, the carrier is to open

	stages // their number
)

// A progress tells how an attempt goes.
type progress struct {
	reached chan stage       // the stages after the first, as they begin; has room for all
	sent    messages.NATType // set before stageOpening is reached

	now   stage     // owned by the attempt, like since
	since time.Time // when it was reached
}

// reach notes that an attempt has come to s, and what the stage before took.
func (t *Transport) reach(p *progress, s stage) {
	now := time.Now()
	if p.now != stageOffer {
		t.pace.took(p.now, now.Sub(p.since))
	}
	p.now, p.since = s, now
	if s < stages {
		p.reached <- s
	}
}

// attempt makes one attempt at a carrier through whatever proxy the broker
// gives, and tells Trace and metrics how it goes. A canceled ctx is not told:
// nobody failed. The way to the broker is opened while candidates are gathered.
func (t *Transport) attempt(ctx context.Context, p *progress) (carrier.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	if t.nat.look() {
		t.tasks.Go(t.learnNAT)
	}
	prepare(t.cfg.Rendezvous)
	c, err := t.dialer.DialCarrier(ctx, func(ctx context.Context, offer string) (string, error) {
		t.reach(p, stageExchange)
		t.cfg.Trace.offerCreated()
		var answer string
		var err error
		if answer, p.sent, err = t.signaller.exchange(ctx, offer); err != nil {
			t.exchangeFailed(ctx, err)
			return "", err
		}
		t.reach(p, stageOpening)
		t.metrics.rendezvous.WithLabelValues(resultOK).Inc()
		t.cfg.Trace.rendezvousDone()
		return answer, nil
	})
	switch {
	case err == nil:
		t.reach(p, stages)
		t.metrics.carriers.WithLabelValues(resultOK).Inc()
		t.cfg.Trace.connected()
		return c, nil
	case errors.Is(ctx.Err(), context.Canceled):
	case p.now == stageOffer:
		t.log.Info("cannot create an offer", "err", err)
		t.cfg.Trace.offerFailed(err)
	case p.now == stageOpening:
		if errors.Is(err, rtc.ErrOpenTimeout) {
			t.nat.channelFailed(p.sent)
		}
		t.log.Info("carrier did not open, trying another proxy", "err", err)
		t.metrics.carriers.WithLabelValues(resultFailed).Inc()
		t.cfg.Trace.retrying(err)
	}
	return nil, fmt.Errorf("dial carrier: %w", err)
}

// exchangeFailed reports a failed rendezvous, unless we gave it up.
func (t *Transport) exchangeFailed(ctx context.Context, err error) {
	if errors.Is(ctx.Err(), context.Canceled) {
		return
	}
	result := resultFailed
	var refusal *BrokerError
	if errors.As(err, &refusal) && refusal.Text == messages.ErrTextNoProxies {
		result = resultNoProxies
	}
	t.log.Info("rendezvous failed", "err", err)
	t.metrics.rendezvous.WithLabelValues(result).Inc()
	t.cfg.Trace.rendezvousFailed(err)
}
