package snowclient

import (
	"errors"
	"fmt"

	"flurry/common/multipath"

	"github.com/prometheus/client_golang/prometheus"
)

// Values of the label "result".
const (
	resultOK        = "ok"
	resultNoProxies = "no_proxies" // the broker has nobody for us
	resultFailed    = "failed"
)

// metrics are the counters of a Transport. Two Transports with one Registerer
// share them. All methods may be called from any goroutine.
type metrics struct {
	rendezvous *prometheus.CounterVec // by result
	inBand     *prometheus.CounterVec // by result
	carriers   *prometheus.CounterVec // by result, counted after a successful rendezvous
	sessions   prometheus.Counter
	paths      prometheus.Gauge
	streams    prometheus.Gauge
	segments   *prometheus.CounterVec // by kind
}

// newMetrics makes the counters and registers them on r unless r is nil.
func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		rendezvous: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "snowflake_client_rendezvous_total",
			Help: "Exchanges with the broker, by result.",
		}, []string{"result"}),
		inBand: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "snowflake_client_inband_total",
			Help: "Requests to the broker through the tunnel, by result.",
		}, []string{"result"}),
		carriers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "snowflake_client_carriers_total",
			Help: "Carriers tried after a successful rendezvous, by result.",
		}, []string{"result"}),
		sessions: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "snowflake_client_sessions_total",
			Help: "Sessions begun.",
		}),
		paths: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "snowflake_client_paths",
			Help: "Paths through proxies that are attached to a session now.",
		}),
		streams: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "snowflake_client_streams",
			Help: "Streams open now.",
		}),
		segments: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "snowflake_client_segments_total",
			Help: "KCP segments: sent for the first time, sent again, received, and how many of those had come before.",
		}, []string{"kind"}),
	}
	if r == nil {
		return m, nil
	}
	err := errors.Join(
		register(r, &m.rendezvous), register(r, &m.inBand), register(r, &m.carriers), register(r, &m.sessions),
		register(r, &m.paths), register(r, &m.streams), register(r, &m.segments),
	)
	if err != nil {
		return nil, fmt.Errorf("register client metrics: %w", err)
	}
	return m, nil
}

// count adds what a conversation has moved between two looks at it.
func (m *metrics) count(before, now multipath.Stats) {
	for kind, n := range map[string]int64{
		"sent":      now.Sent - before.Sent,
		"resent":    now.Resent - before.Resent,
		"received":  now.Received - before.Received,
		"duplicate": now.Duplicate - before.Duplicate,
	} {
		m.segments.WithLabelValues(kind).Add(float64(n))
	}
}

// countInBand counts a request through the tunnel.
func (m *metrics) countInBand(result string) { m.inBand.WithLabelValues(result).Inc() }

// register puts *c on r, or makes *c the collector that is there already.
func register[C prometheus.Collector](r prometheus.Registerer, c *C) error {
	err := r.Register(*c)
	var already prometheus.AlreadyRegisteredError
	if errors.As(err, &already) {
		old, ok := already.ExistingCollector.(C)
		if !ok {
			return err
		}
		*c = old
		return nil
	}
	return err
}
