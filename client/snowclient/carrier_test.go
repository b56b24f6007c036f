package snowclient

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"flurry/common/carrier"
	"flurry/common/carrier/rtc"
	"flurry/common/messages"
	"flurry/common/sdp"
)

type dialerFunc func(context.Context, SignalFunc) (carrier.Conn, error)

func (f dialerFunc) DialCarrier(ctx context.Context, signal SignalFunc) (carrier.Conn, error) {
	return f(ctx, signal)
}

// signalOnly is a dialer that gets an answer and then fails.
func signalOnly(err error) dialerFunc {
	return func(ctx context.Context, signal SignalFunc) (carrier.Conn, error) {
		offer := sdp.Description{Type: "offer", SDP: "v=0\r\n"}.String()
		if _, err := signal(ctx, offer); err != nil {
			return nil, err
		}
		return nil, err
	}
}

func TestTraceTellsEachStage(t *testing.T) {
	boom := errors.New("boom")
	refuse := replier(func(string) (string, error) { return `{"error":"no"}`, nil })
	for _, c := range []struct {
		name       string
		rendezvous Rendezvous
		dialer     CarrierDialer
		want       []string
	}{
		{"no offer", always, dialerFunc(func(context.Context, SignalFunc) (carrier.Conn, error) { return nil, boom }), []string{"offer failed: boom"}},
		{"no answer", refuse, signalOnly(nil), []string{"offer", "broker failed: no"}},
		{"no channel", always, signalOnly(rtc.ErrOpenTimeout), []string{"offer", "answer", "retrying: timeout waiting for DataChannel.OnOpen"}},
		{"success", always, newBridge(t), []string{"offer", "answer", "connected"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			tell := func(s string) { got = append(got, s) }
			tr := newTestTransport(t, Config{Rendezvous: c.rendezvous, Dialer: c.dialer, Trace: &Trace{
				OfferCreated:     func() { tell("offer") },
				OfferFailed:      func(err error) { tell("offer failed: " + err.Error()) },
				RendezvousDone:   func() { tell("answer") },
				RendezvousFailed: func(err error) { tell("broker failed: " + err.Error()) },
				Connected:        func() { tell("connected") },
				Retrying:         func(err error) { tell("retrying: " + err.Error()) },
			}})
			if conn, err := tr.connect(t.Context()); err == nil {
				conn.Close()
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestGivenUpAttemptIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := func(err error) { t.Errorf("told of %v", err) }
		tr, err := New(Config{Rendezvous: waiter{}, Dialer: signalOnly(nil),
			Trace: &Trace{OfferFailed: told, RendezvousFailed: told, Retrying: told}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var attempt sync.WaitGroup
		attempt.Go(func() {
			if _, err := tr.connect(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		})
		synctest.Wait()
		cancel()
		attempt.Wait()
	})
}

// gather gives every metric of r as name{labels}.
func gather(t *testing.T, r prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[string]float64)
	for _, f := range families {
		if f.GetName() == "snowflake_client_segments_total" {
			continue // as many as it takes
		}
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += "{" + l.GetValue() + "}"
			}
			values[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return values
}

func TestMetrics(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	refuse := replier(func(string) (string, error) { return `{"error":"` + messages.ErrTextNoProxies + `"}`, nil })
	for range 2 { // Transports may share a registry
		newTestTransport(t, Config{Rendezvous: refuse, Dialer: signalOnly(nil), Registerer: r}).connect(t.Context())
	}
	newTestTransport(t, Config{Rendezvous: always, Dialer: signalOnly(rtc.ErrOpenTimeout), Registerer: r}).connect(t.Context())

	b := newBridge(t)
	tr := newTestTransport(t, Config{Rendezvous: always, Dialer: b, Registerer: r})
	b.echo()
	c := dial(t, tr)
	roundTrip(t, c, []byte("hello"))
	want := map[string]float64{
		"snowflake_client_rendezvous_total{no_proxies}": 2,
		"snowflake_client_rendezvous_total{ok}":         2,
		"snowflake_client_carriers_total{failed}":       1,
		"snowflake_client_carriers_total{ok}":           1,
		"snowflake_client_sessions_total":               1,
		"snowflake_client_paths":                        1,
		"snowflake_client_streams":                      1,
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for got := gather(t, r); !maps.Equal(got, want); got = gather(t, r) { // The pool counts a path that works already.
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("got  %v\nwant %v", got, want)
		}
	}
	c.Close()
	tr.Close()
	want["snowflake_client_paths"], want["snowflake_client_streams"] = 0, 0
	if got := gather(t, r); !maps.Equal(got, want) {
		t.Errorf("at the end\ngot  %v\nwant %v", got, want)
	}
}
