package snowbroker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"flurry/common/messages"
	"flurry/common/safelog"
	"flurry/common/sealed"
)

// Config says how a Broker works. The zero value is a broker for the built-in
// bridge, but mind AllowedRelayPattern.
type Config struct {
	// Bridges is where clients can be sent. nil means DefaultBridges.
	Bridges *Bridges

	// AllowedRelayPattern covers the host names of all bridges. Only proxies
	// whose own pattern covers it get clients; with the zero value those are
	// the proxies that serve every name.
	AllowedRelayPattern messages.RelayPattern

	// PollIntervals is how often proxies are asked to poll; nil means
	// DefaultPollIntervals. SetPollIntervals changes it later.
	PollIntervals *PollIntervals

	// Matcher pairs the two sides. nil means a NewMemory of its own, which
	// Close then closes; one given here stays the caller's to close.
	Matcher Matcher

	// MetricsLog gets a report every 24 hours. nil means none. Writes come
	// from Run's goroutine only.
	MetricsLog io.Writer

	// MetricsPath is the file that /metrics serves, usually the one behind
	// MetricsLog. With "" the page does not exist.
	MetricsPath string

	// Country finds the country of an address as two letters, or returns "".
	// It must be safe for use by several goroutines. nil means that addresses
	// are not looked at at all: counts of addresses stay zero and clients
	// count as of unknown country.
	Country func(netip.Addr) string

	// Registerer also gets the metrics that /prometheus serves, without those
	// of the Go runtime and the process. nil means none.
	Registerer prometheus.Registerer

	// Logger gets what an operator should know. nil means silence.
	Logger *slog.Logger
}

// Validate reports every fault of the configuration at once.
func (c *Config) Validate() error {
	var errs []error
	if c.PollIntervals != nil && (c.PollIntervals.Restricted < 0 || c.PollIntervals.Unrestricted < 0) {
		errs = append(errs, errors.New("poll interval is negative"))
	}
	return errors.Join(errs...)
}

// A Broker serves clients and proxies by HTTP. Serve its Handler, call Run
// beside it, and Close it before the HTTP server shuts down, so that no waiting
// poll holds that up.
type Broker struct {
	// Fixed after construction.
	bridges     *Bridges
	relays      messages.RelayPattern
	matcher     Matcher
	own         *Memory // the matcher if the Broker made it, else nil
	metricsLog  io.Writer
	metricsPath string
	country     func(netip.Addr) string
	log         *slog.Logger
	record      recorder
	registry    *prometheus.Registry
	handler     http.Handler
	bodies      bodyReader
	seal        *sealed.PrivateKey // of this process; a client learns the public half with its first answer

	intervals atomic.Pointer[PollIntervals]
}

// New makes a Broker. It starts nothing.
func New(cfg Config) (*Broker, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("broker configuration: %w", err)
	}
	b := &Broker{
		bridges:     cfg.Bridges,
		relays:      cfg.AllowedRelayPattern,
		matcher:     cfg.Matcher,
		metricsLog:  cfg.MetricsLog,
		metricsPath: cfg.MetricsPath,
		country:     cfg.Country,
		log:         cfg.Logger,
		registry:    prometheus.NewRegistry(),
	}
	if b.bridges == nil {
		b.bridges = DefaultBridges()
	}
	if b.matcher == nil {
		b.own = NewMemory(MemoryOptions{})
		b.matcher = b.own
	}
	if b.log == nil {
		b.log = safelog.Discard()
	}
	intervals := DefaultPollIntervals()
	if cfg.PollIntervals != nil {
		intervals = *cfg.PollIntervals
	}
	b.SetPollIntervals(intervals)
	var err error
	if b.seal, err = sealed.NewPrivateKey(); err != nil {
		return nil, err
	}
	b.record = recorder{stats: newStats(maxStatAddrs), metrics: newMetrics(b.matcher)}
	if err := b.register(cfg.Registerer); err != nil {
		return nil, err
	}
	b.handler = b.routes()
	return b, nil
}

// register puts the metrics on the broker's own registry and on the caller's.
func (b *Broker) register(also prometheus.Registerer) error {
	b.registry.MustRegister(collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, c := range b.record.metrics.collectors() {
		b.registry.MustRegister(c)
		if also == nil {
			continue
		}
		if err := also.Register(c); err != nil {
			return fmt.Errorf("register broker metrics: %w", err)
		}
	}
	return nil
}

// Handler serves every route of the broker. It may be used by any number of
// servers at once.
func (b *Broker) Handler() http.Handler { return b.handler }

// SetPollIntervals changes how often proxies are asked to poll from now on.
func (b *Broker) SetPollIntervals(p PollIntervals) { b.intervals.Store(&p) }

// Run writes the metrics log until ctx ends, and then returns nil. A report that
// cannot be written is logged and lost.
func (b *Broker) Run(ctx context.Context) error {
	ticker := time.NewTicker(statsInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-ticker.C:
			if b.metricsLog == nil {
				continue
			}
			if err := b.record.stats.report(b.metricsLog, now); err != nil {
				b.log.Error("cannot write the metrics log", "error", err)
			}
		}
	}
}

// Close ends all waiting polls, and later ones at once, with "no match".
// Clients that were given a proxy may still get their answers. It does not
// wait for them: shutting down the HTTP server does.
func (b *Broker) Close() {
	if b.own != nil {
		b.own.Close()
	}
}
