package snowproxy

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"flurry/common/carrier"
	"flurry/common/carrier/carriertest"
	"flurry/common/messages"
	"flurry/common/vectors"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestProxyMiscVectors(t *testing.T) {
	vectors.Run(t, "proxy_misc", map[string]func(*testing.T, vectors.Case){
		"clients_reported": func(t *testing.T, c vectors.Case) {
			var in struct{ Active int64 }
			var out struct{ Clients int }
			c.Decode(t, &in, &out)
			if got := clientsReported(in.Active); got != out.Clients {
				t.Errorf("%d clients: %d, want %d", in.Active, got, out.Clients)
			}
		},
		"traffic": func(t *testing.T, c vectors.Case) {
			var in struct{ Bytes int64 }
			var out struct {
				Unit  string
				Value int64
			}
			c.Decode(t, &in, &out)
			if got := kilobytes(in.Bytes); got != out.Value || out.Unit != "KB" {
				t.Errorf("%d bytes: %d KB, want %d %s", in.Bytes, got, out.Value, out.Unit)
			}
		},
		"summary_line": func(t *testing.T, c vectors.Case) {
			var in struct {
				Connections, Failed int64
				InboundKB           int64 `json:"inbound_kb"`
				OutboundKB          int64 `json:"outbound_kb"`
				IntervalSeconds     int64 `json:"interval_seconds"`
			}
			var out struct{ Text string }
			c.Decode(t, &in, &out)
			s := Summary{time.Duration(in.IntervalSeconds) * time.Second, in.Connections, in.Failed, in.InboundKB, in.OutboundKB}
			if got := s.String(); got != out.Text {
				t.Errorf("got  %s\nwant %s", got, out.Text)
			}
		},
	}, "remote_ip") // in package sdp
}

// One client comes, sends 5000 bytes, gets 3000 and goes; others never open.
func TestSummaryAndMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, inside := carriertest.Pair(carriertest.Options{})
		relay, outside := carriertest.Pair(carriertest.Options{})
		clients := make(chan carrier.Conn, 1)
		clients <- inside
		broker := &fakeBroker{poll: func(context.Context, messages.ProxyPollRequest) (any, error) { return match(time.Minute), nil }}
		events, registry := newEventLog(), prometheus.NewRegistry()
		events.patience = 3 * time.Hour // of the bubble's clock
		p := newProxy(t, broker, func(c *Config) {
			c.Registerer, c.OnEvent, c.SummaryInterval = registry, events.hear, time.Hour
			c.Answerer = &fakeAnswerer{open: func(ctx context.Context) (carrier.Conn, error) {
				select {
				case c := <-clients:
					return c, nil
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			}}
			c.Upstream = onceUpstream(relay)
		})
		stop := start(t, p)
		send(t, client, 5000)
		send(t, outside, 3000)
		time.Sleep(time.Second)
		client.Close()
		s := events.next(t, EventSummary).Summary
		if s.Connections != 1 || s.Failed < 50 || s.InboundKB != 3 || s.OutboundKB != 5 {
			t.Errorf("first summary: %+v", s)
		}
		if s = events.next(t, EventSummary).Summary; s.Connections != 0 || s.InboundKB != 0 {
			t.Errorf("second summary does not begin at zero: %+v", s)
		}
		stop()
		for name, want := range map[prometheus.Collector]float64{
			p.metrics.connections: 1, p.metrics.inboundKB: 3, p.metrics.outboundKB: 5,
		} {
			if got := testutil.ToFloat64(name); got != want {
				t.Errorf("a metric is %v, want %v", got, want)
			}
		}
		if testutil.ToFloat64(p.metrics.timeouts) < 50 {
			t.Error("timeouts are not counted")
		}
		outside.Close()
	})
}

func TestProxiesShareARegistry(t *testing.T) {
	registry := prometheus.NewRegistry()
	a := newProxy(t, &fakeBroker{}, func(c *Config) { c.Registerer = registry })
	b := newProxy(t, &fakeBroker{}, func(c *Config) { c.Registerer = registry })
	a.metrics.connectionOver()
	b.metrics.connectionOver()
	if got := testutil.ToFloat64(b.metrics.connections); got != 2 {
		t.Errorf("connections: %v, want 2", got)
	}
	names, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, n := range names {
		got = append(got, n.GetName())
	}
	want := []string{"tor_snowflake_proxy_connection_timeouts_total", "tor_snowflake_proxy_connections_total",
		"tor_snowflake_proxy_traffic_inbound_bytes_total", "tor_snowflake_proxy_traffic_outbound_bytes_total"}
	if len(got) != len(want) {
		t.Fatalf("metrics: %q, want %q", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("metric %q, want %q", got[i], want[i])
		}
	}
}
