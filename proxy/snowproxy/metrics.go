package snowproxy

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the counters of spec section 11.3, under the names that the
// deployed proxy gives them.
type metrics struct {
	connections *prometheus.CounterVec
	timeouts    prometheus.Counter
	inboundKB   prometheus.Counter // kilobytes, in spite of the name on the wire
	outboundKB  prometheus.Counter
}

// countryUnused is the label of connections: empty, as there is no lookup of
// countries in this proxy.
const countryUnused = ""

// newMetrics registers with reg, unless that is nil, and takes over counters
// that another Proxy has registered there.
func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	opts := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: "tor_snowflake_proxy", Name: name, Help: help}
	}
	m := &metrics{
		connections: prometheus.NewCounterVec(opts("connections_total", "Finished connections of clients."), []string{"country"}),
		timeouts:    prometheus.NewCounter(opts("connection_timeouts_total", "Clients whose data channel never opened.")),
		inboundKB:   prometheus.NewCounter(opts("traffic_inbound_bytes_total", "Sent to clients, in kilobytes, as of the last summary.")),
		outboundKB:  prometheus.NewCounter(opts("traffic_outbound_bytes_total", "Received from clients, in kilobytes, as of the last summary.")),
	}
	if reg == nil {
		return m, nil
	}
	err := errors.Join(register(reg, &m.connections), register(reg, &m.timeouts),
		register(reg, &m.inboundKB), register(reg, &m.outboundKB))
	return m, err
}

func register[C prometheus.Collector](reg prometheus.Registerer, c *C) error {
	err := reg.Register(*c)
	var there prometheus.AlreadyRegisteredError
	if errors.As(err, &there) {
		if old, ok := there.ExistingCollector.(C); ok {
			*c = old
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	return nil
}

func (m *metrics) connectionOver() { m.connections.WithLabelValues(countryUnused).Inc() }

func (m *metrics) addTraffic(s Summary) {
	m.inboundKB.Add(float64(s.InboundKB))
	m.outboundKB.Add(float64(s.OutboundKB))
}
