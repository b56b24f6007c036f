package snowproxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"flurry/common/messages"
)

const (
	// relayRecheck is how long a relay that could be reached is trusted, and
	// relayRetry the first pause after it could not; the pause doubles up to
	// relayRecheck. Deployed proxies begin with 5 min (spec section 3.5), which
	// loses a volunteer who starts while the bridge restarts; after five
	// failures the two are the same.
	relayRecheck = 24 * time.Hour
	relayRetry   = 10 * time.Second
)

// errRunTwice is returned by a second Run.
var errRunTwice = errors.New("a Proxy runs only once")

// A Proxy serves clients while Run runs.
type Proxy struct {
	// Fixed after construction.
	cfg      Config
	log      *slog.Logger
	relay    *url.URL // the operator's own
	policy   relayPolicy
	broker   *broker
	http     http.RoundTripper
	upstream Upstream
	answerer Answerer
	probe    func(context.Context) (messages.NATType, error) // nil with ForceUnrestricted
	metrics  *metrics
	tokens   *tokens

	// Owned by the poll loop.
	schedule   *schedule
	relayCheck time.Time // when the relay is to be tried again
	nat        messages.NATType
	natProbed  bool      // at least once
	natCheck   time.Time // when the NAT type is to be probed again, if that is configured
	stockUntil time.Time // until then polls may well bring a client

	// Safe for concurrent use.
	ran      atomic.Bool
	serving  atomic.Int64 // sessions that have not ended
	tally    tally
	sessions sync.WaitGroup
}

// New checks cfg and returns a Proxy that does nothing until Run.
func New(cfg Config) (*Proxy, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	p := &Proxy{
		cfg: cfg,
		log: cfg.Logger,
		policy: relayPolicy{
			pattern:      messages.ParseRelayPattern(cfg.RelayPattern),
			allowPrivate: cfg.AllowPrivateRelays,
			allowNonTLS:  cfg.AllowNonTLSRelay,
		},
		http:     cfg.HTTP,
		upstream: cfg.Upstream,
		answerer: cfg.Answerer,
		tokens:   newTokens(cfg.Capacity),
		schedule: newSchedule(cfg.PollInterval),
		nat:      messages.NATUnknown,
	}
	if err := p.connectParts(); err != nil {
		return nil, err
	}
	return p, nil
}

// connectParts makes what cfg leaves to us.
func (p *Proxy) connectParts() (err error) {
	if p.relay, err = url.Parse(p.cfg.RelayURL); err != nil {
		return err
	}
	if p.http == nil {
		p.http = newHTTPTransport(p.cfg.HTTPProxy)
	}
	if p.upstream == nil {
		p.upstream = newDialer(p.cfg)
	}
	if p.broker, err = newBroker(p.cfg.BrokerURL, p.http); err != nil {
		return err
	}
	if p.answerer == nil {
		if p.answerer, err = newWebRTC(p.cfg); err != nil {
			return fmt.Errorf("WebRTC: %w", err)
		}
	}
	if !p.cfg.ForceUnrestricted {
		prober, err := newNATProbe(p.cfg, p.http)
		if err != nil {
			return fmt.Errorf("NAT probe: %w", err)
		}
		p.probe = prober.probe
	}
	p.metrics, err = newMetrics(p.cfg.Registerer)
	return err
}

// Run asks for clients and serves them until ctx ends. It then closes the
// connections it has, giving what is under way about two seconds to leave, and
// returns nil when nothing of it is left. A Proxy runs only once.
func (p *Proxy) Run(ctx context.Context) error {
	if p.ran.Swap(true) {
		return errRunTwice
	}
	p.emit(Event{Kind: EventStarting})
	var background sync.WaitGroup
	if p.cfg.SummaryInterval > 0 {
		background.Go(func() { p.summarise(ctx) })
	}
	p.expectClients()
	for p.relayReachable(ctx) && p.natKnown(ctx) {
		if p.tokens.take(ctx) != nil || !sleep(ctx, spread(p.pollOnce(ctx))) {
			break
		}
	}
	p.unprepare()
	p.sessions.Wait()
	background.Wait()
	if t, ok := p.http.(*http.Transport); ok && p.cfg.HTTP == nil {
		t.CloseIdleConnections()
	}
	return nil
}

// pollOnce asks the broker for a client, once, and returns the pause until the
// next poll. The token that the caller has taken goes to the client's session
// or back.
func (p *Proxy) pollOnce(ctx context.Context) time.Duration {
	p.prepare()
	sid := newSessionID()
	match, err := p.broker.poll(ctx, messages.ProxyPollRequest{
		SessionID:    sid,
		Type:         p.cfg.Type,
		NAT:          p.nat,
		Clients:      clientsReported(p.serving.Load()),
		RelayPattern: &p.cfg.RelayPattern,
	})
	if err == nil && match.Status == messages.StatusClientMatch {
		p.expectClients()
		p.sessions.Go(func() { p.serve(ctx, sid, match) })
		return p.schedule.answered(match.NextPoll)
	}
	p.tokens.release()
	var status *messages.StatusError
	switch {
	case err == nil:
		return p.schedule.answered(match.NextPoll)
	case errors.As(err, &status):
		// The broker's reason, and its pause, hold although there is no client:
		// it asks proxies that it refuses to come back in an hour.
		pause := p.schedule.answered(match.NextPoll)
		p.log.Debug("the broker has no client for us", "reason", fmt.Sprintf("%.200q", status.Status), "next poll", pause)
		return pause
	}
	pause := p.schedule.failed()
	if ctx.Err() == nil {
		p.log.Debug("poll failed", "err", err, "next poll", pause)
	}
	return pause
}

// relayReachable tries the operator's relay when that is due, and if need be
// again and again: a proxy that reaches no relay must not take clients. It
// reports whether ctx is still alive.
func (p *Proxy) relayReachable(ctx context.Context) bool {
	pause := relayRetry
	for !time.Now().Before(p.relayCheck) {
		conn, err := p.upstream.Connect(ctx, p.relay, netip.Addr{})
		if err == nil {
			conn.Close()
			p.relayCheck = time.Now().Add(relayRecheck)
			break
		}
		if ctx.Err() != nil {
			return false
		}
		p.emit(Event{Kind: EventRelayUnreachable, Err: err})
		if !sleep(ctx, spread(pause)) {
			return false
		}
		pause = min(2*pause, relayRecheck)
	}
	return ctx.Err() == nil
}

// natKnown finds out the NAT type when that is due. The first result is told
// even if it is "unknown"; later an error keeps the old value (spec section
// 9.4). It reports whether ctx is still alive.
func (p *Proxy) natKnown(ctx context.Context) bool {
	retest := p.cfg.NATRetestInterval > 0 && !p.cfg.ForceUnrestricted
	if p.natProbed && (!retest || time.Now().Before(p.natCheck)) {
		return ctx.Err() == nil
	}
	found := messages.NATUnrestricted
	if !p.cfg.ForceUnrestricted {
		var err error
		if found, err = p.probe(ctx); err != nil {
			p.log.Debug("NAT type not found out", "err", err)
			found = p.nat
		}
	}
	if ctx.Err() != nil {
		return false
	}
	first := !p.natProbed
	p.natProbed, p.natCheck = true, time.Now().Add(p.cfg.NATRetestInterval)
	if first || found != p.nat {
		p.nat = found
		p.emit(Event{Kind: EventNATType, NAT: found})
	}
	return true
}
