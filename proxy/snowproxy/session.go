package snowproxy

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"flurry/common/messages"
	"flurry/common/sdp"
)

// relayWait is how long a client that is there waits for its relay: as long as
// the client itself bears silence (spec section 7.5).
const relayWait = 20 * time.Second

// outcome is how far a session came.
type outcome int

const (
	refused   outcome = iota // before the answer was delivered
	unopened                 // the answer was delivered, the channel did not open
	unrelayed                // the channel opened, the relay could not be reached
	served                   // bytes could flow
)

// serve is the life of one client after its match. It holds the token of the
// poll that brought the client and is the only place that gives it back.
func (p *Proxy) serve(ctx context.Context, sid string, match messages.ProxyPollResponse) {
	defer p.tokens.release()
	p.serving.Add(1)
	defer p.serving.Add(-1)

	out, err := p.session(ctx, sid, match)
	switch out {
	case refused:
		p.tally.failed.Add(1)
		p.log.Debug("client not served", "err", err)
	case unopened:
		p.tally.failed.Add(1)
		if ctx.Err() == nil {
			p.metrics.timeouts.Inc()
			p.emit(Event{Kind: EventConnectionFailed})
		}
	case unrelayed:
		p.tally.failed.Add(1)
		p.log.Debug("client lost", "err", err)
		p.metrics.connectionOver()
		p.emit(Event{Kind: EventConnectionOver, Err: err})
	case served:
		p.tally.connections.Add(1)
		p.metrics.connectionOver()
		p.emit(Event{Kind: EventConnectionOver, Err: err})
	}
}

// session answers the offer, connects both sides and pumps until the end.
func (p *Proxy) session(ctx context.Context, sid string, match messages.ProxyPollResponse) (outcome, error) {
	start := time.Now()
	offer, err := sdp.Parse(match.Offer)
	if err != nil {
		return refused, fmt.Errorf("offer: %w", err)
	}
	relay, err := p.relayFor(match)
	if err != nil {
		return refused, err
	}
	pending, err := p.answerer.Answer(ctx, match.Offer)
	if err != nil {
		return refused, err
	}
	if err := p.broker.answer(ctx, sid, pending.Answer()); err != nil {
		pending.Close()
		return refused, err
	}
	p.log.Debug("answer delivered", "took", time.Since(start).Round(time.Millisecond))

	address, _ := sdp.RemoteAddr(offer.SDP) // invalid if the offer has none
	way := startLeg(ctx, p.upstream, relay, address)
	waiting, cancel := context.WithTimeout(ctx, openLimit)
	defer cancel()
	client, err := pending.Wait(waiting)
	if err != nil {
		way.abandon()
		return unopened, err
	}
	p.emit(Event{Kind: EventClientConnected})
	connecting, cancel := context.WithTimeout(ctx, relayWait)
	defer cancel()
	bridge, err := way.take(connecting)
	if err != nil {
		client.Close()
		return unrelayed, err
	}
	p.log.Debug("client and relay connected", "by", bridge.Traits().Kind, "took", time.Since(start).Round(time.Millisecond))
	flow := pump{client: client, relay: bridge, tally: &p.tally}
	return served, unusual(flow.run(ctx))
}

// relayFor returns the relay for a match: the one the broker names, if the
// operator accepts it, else the operator's own.
func (p *Proxy) relayFor(match messages.ProxyPollResponse) (*url.URL, error) {
	if match.RelayURL == "" {
		return p.relay, nil
	}
	return p.policy.check(match.RelayURL)
}

// unusual passes on the errors that are worth a line in the log.
func unusual(err error) error {
	if errors.Is(err, errIdle) || errors.Is(err, errSilent) {
		return err
	}
	return nil
}
