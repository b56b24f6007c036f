package snowbroker

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"flurry/common/messages"
)

// metrics holds the Prometheus side of the counting (wire specification,
// section 4.7).
type metrics struct {
	proxies *prometheus.CounterVec // snowflake_proxy_total, exact

	proxyPolls, proxyAnswers                   *roundedVec
	withPattern, withoutPattern, rejectedPolls *roundedVec
	clientPolls                                *roundedVec

	available availableProxies
}

func newMetrics(m Matcher) *metrics {
	return &metrics{
		proxies: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "snowflake_proxy_total", Help: "Distinct proxy addresses seen.",
		}, []string{"type", "nat", "cc"}),
		proxyPolls: newRoundedVec("snowflake_rounded_proxy_poll_total",
			"Proxy polls by how they ended, rounded up to a multiple of 8.", "nat", "type", "status"),
		proxyAnswers: newRoundedVec("snowflake_rounded_proxy_answer_total",
			"Answers due from proxies by whether they came, rounded up to a multiple of 8.", "type", "status"),
		withPattern: newRoundedVec("snowflake_rounded_proxy_poll_with_relay_url_extension_total",
			"Proxy polls that name a relay pattern, rounded up to a multiple of 8.", "nat", "type"),
		withoutPattern: newRoundedVec("snowflake_rounded_proxy_poll_without_relay_url_extension_total",
			"Proxy polls that name no relay pattern, rounded up to a multiple of 8.", "nat", "type"),
		rejectedPolls: newRoundedVec("snowflake_rounded_proxy_poll_rejected_relay_url_extension_total",
			"Proxy polls refused for their relay pattern, rounded up to a multiple of 8.", "nat", "type"),
		clientPolls: newRoundedVec("snowflake_rounded_client_poll_total",
			"Client requests by how they ended, rounded up to a multiple of 8.", "nat", "status", "cc", "rendezvous_method"),
		available: availableProxies{matcher: m, desc: prometheus.NewDesc("snowflake_available_proxies",
			"Proxy polls that wait for a client now.", []string{"type", "nat"}, nil)},
	}
}

// collectors lists everything to register.
func (m *metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.proxies, m.proxyPolls, m.proxyAnswers,
		m.withPattern, m.withoutPattern, m.rejectedPolls, m.clientPolls, m.available}
}

// availableProxies is a gauge read from the Matcher when it is scraped.
type availableProxies struct {
	matcher Matcher
	desc    *prometheus.Desc
}

// Describe is prometheus.Collector's.
func (a availableProxies) Describe(ch chan<- *prometheus.Desc) { ch <- a.desc }

// Collect is prometheus.Collector's.
func (a availableProxies) Collect(ch chan<- prometheus.Metric) {
	for k, n := range a.matcher.Stats().Waiting {
		ch <- prometheus.MustNewConstMetric(a.desc, prometheus.GaugeValue, float64(n), string(k.Type), string(k.NAT))
	}
}

// maxLabels is the most labels a roundedVec has.
const maxLabels = 4

// roundedVec is a counter that shows its count rounded up to a multiple of
// binSize: the first event shows 8, the ninth 16.
type roundedVec struct {
	desc   *prometheus.Desc
	labels int

	mu     sync.Mutex
	counts map[[maxLabels]string]uint64 // guarded by mu
}

func newRoundedVec(name, help string, labels ...string) *roundedVec {
	return &roundedVec{
		desc:   prometheus.NewDesc(name, help, labels, nil),
		labels: len(labels),
		counts: make(map[[maxLabels]string]uint64),
	}
}

// inc counts one event. It takes as many values as the vec has labels.
func (v *roundedVec) inc(values ...string) {
	var key [maxLabels]string
	copy(key[:], values)
	v.mu.Lock()
	v.counts[key]++
	v.mu.Unlock()
}

// Describe is prometheus.Collector's.
func (v *roundedVec) Describe(ch chan<- *prometheus.Desc) { ch <- v.desc }

// Collect is prometheus.Collector's.
func (v *roundedVec) Collect(ch chan<- prometheus.Metric) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for key, n := range v.counts {
		ch <- prometheus.MustNewConstMetric(v.desc, prometheus.CounterValue, float64(binCount(n)), key[:v.labels]...)
	}
}

// recorder tells both sides of the counting about each event.
type recorder struct {
	stats   *stats
	metrics *metrics
}

// poll records a poll that was understood, and whether its relay pattern was.
func (r recorder) poll(k Kind, withPattern, accepted bool) {
	r.stats.pollSeen(withPattern, accepted)
	if withPattern {
		r.metrics.withPattern.inc(string(k.NAT), string(k.Type))
	} else {
		r.metrics.withoutPattern.inc(string(k.NAT), string(k.Type))
	}
	if !accepted {
		r.metrics.rejectedPolls.inc(string(k.NAT), string(k.Type))
	}
}

// pollEnded records the end of a poll that waited.
func (r recorder) pollEnded(k Kind, matched bool) {
	status := "matched"
	if !matched {
		status = "idle"
		r.stats.pollIdle()
	}
	r.metrics.proxyPolls.inc(string(k.NAT), string(k.Type), status)
}

// client records the end of a client's request that came by HTTP. answerer is
// the kind of proxy that answered it, if one did.
func (r recorder) client(o outcome, nat messages.NATType, country string, answerer messages.ProxyType) {
	r.stats.client(o, nat, country)
	r.metrics.clientPolls.inc(string(nat), string(o), country, "http")
	switch o {
	case outcomeMatched:
		r.metrics.proxyAnswers.inc(string(answerer), "success")
	case outcomeTimeout:
		r.metrics.proxyAnswers.inc("", "timeout")
	}
}
