package snowclient

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"flurry/common/carrier"
	"flurry/common/carrier/rtc"
	"flurry/common/messages"
)

// attemptTimeout bounds one attempt as a whole: gathering candidates (about 5 s
// per STUN query), rendezvousTimeout, and the 10 s wait for the channel, with
// room to spare. A Dialer that hangs must not use up the pool.
const attemptTimeout = 60 * time.Second

// An rtcDialer makes WebRTC carriers.
type rtcDialer struct {
	endpoint *rtc.Endpoint
}

func newRTCDialer(iceServers []string, keepLocal bool, log *slog.Logger) (*rtcDialer, error) {
	e, err := rtc.New(rtc.Config{ICEServers: iceServers, KeepLocalAddresses: keepLocal, Logger: log})
	if err != nil {
		return nil, fmt.Errorf("set up WebRTC: %w", err)
	}
	return &rtcDialer{e}, nil
}

// DialCarrier implements CarrierDialer.
func (d *rtcDialer) DialCarrier(ctx context.Context, signal SignalFunc) (carrier.Conn, error) {
	c, err := d.endpoint.Dial(ctx, "", signal)
	if err != nil {
		return nil, err // not c: a nil *rtc.Conn is no nil carrier.Conn
	}
	return c, nil
}

// The stages of an attempt: where it was when it failed says what to report.
const (
	stageOffer   = iota // making our description
	stageRefused        // the exchange failed, and that has been told
	stageOpening        // we hold an answer, the carrier is to open
)

// connect makes one attempt at a carrier through whatever proxy the broker
// gives, and tells Trace and metrics how it goes. A canceled ctx is not told:
// nobody failed.
func (t *Transport) connect(ctx context.Context) (carrier.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	stage := stageOffer
	var sent messages.NATType
	c, err := t.dialer.DialCarrier(ctx, func(ctx context.Context, offer string) (string, error) {
		stage = stageRefused
		t.cfg.Trace.offerCreated()
		var answer string
		var err error
		if answer, sent, err = t.signaller.exchange(ctx, offer); err != nil {
			t.exchangeFailed(ctx, err)
			return "", err
		}
		stage = stageOpening
		t.metrics.rendezvous.WithLabelValues(resultOK).Inc()
		t.cfg.Trace.rendezvousDone()
		return answer, nil
	})
	switch {
	case err == nil:
		t.metrics.carriers.WithLabelValues(resultOK).Inc()
		t.cfg.Trace.connected()
		return c, nil
	case errors.Is(ctx.Err(), context.Canceled):
	case stage == stageOffer:
		t.log.Info("cannot create an offer", "err", err)
		t.cfg.Trace.offerFailed(err)
	case stage == stageOpening:
		if errors.Is(err, rtc.ErrOpenTimeout) {
			t.signaller.channelFailed(sent)
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
