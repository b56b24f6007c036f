package webext

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"flurry/test/browsers"
)

// relayedBytes go up in each measurement: some seconds of a core.
const relayedBytes = 40_000_000

// window is how much may be on its way to the relay, in bytes. Whoever sends without one is cut off by the volunteer when the
// relay's connection is the slower one.
const window = 1 << 20

// BenchmarkRelay measures how many MB a browser relays in a CPU second of all its processes, from a plain peer on an ordered
// channel to a relay that swallows them.
func BenchmarkRelay(b *testing.B) {
	for _, kind := range []browsers.Kind{browsers.Chromium(), browsers.Firefox()} {
		b.Run(kind.Name, func(b *testing.B) {
			find(b, kind)
			ctx, cancel := context.WithTimeout(b.Context(), testLimit)
			defer cancel()
			broker := newFakeBroker(b)
			v := newVolunteer(ctx, b, kind, config{Type: "webext", BrokerURL: broker.url, ProbeURL: broker.url + "probe",
				RelayPattern: "^127.0.0.1$",
				RelayURL:     "ws://127.0.0.1:9/", Local: true})
			v.await("off", phase("off"))
			v.click("#toggle")
			for _, size := range []int{1200, 16 << 10} {
				b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) { relay(ctx, b, broker, v, size) })
			}
		})
	}
}

// relay measures with messages of that size.
func relay(ctx context.Context, b *testing.B, broker *fakeBroker, v *volunteer, size int) {
	b.SetBytes(relayedBytes)
	cpu := 0.0
	for b.Loop() {
		sink, p := newSink(b), newPeer(b, true)
		broker.meet(ctx, b, p, sink.url())
		before := v.usage(b)
		p.flood(ctx, b, sink, size)
		cpu += v.usage(b) - before
		p.close(b)
		v.await("of nobody now", func(s shown) bool { return s.Now == 0 })
	}
	b.ReportMetric(float64(b.N)*relayedBytes/1e6/cpu, "MB/cpu-s")
	load, _ := os.ReadFile("/proc/loadavg")
	b.Logf("load %s", strings.TrimSpace(string(load)))
}

// usage is the browser's CPU time so far, in seconds.
func (v *volunteer) usage(t testing.TB) float64 {
	t.Helper()
	u, err := v.group.Usage()
	if err != nil {
		t.Fatal(err)
	}
	return u.CPU.Seconds()
}

// flood sends relayedBytes in messages of that size as fast as they arrive.
func (p *peer) flood(ctx context.Context, t testing.TB, sink *fakeRelay, size int) {
	t.Helper()
	message := make([]byte, size)
	for sent := 0; sent < relayedBytes; sent += size {
		if err := p.channel.Send(message); err != nil {
			t.Fatal(fmt.Errorf("after %d bytes: %w", sent, err))
		}
		if err := sink.await(ctx, int64(sent-window)); err != nil {
			t.Fatal(err)
		}
	}
	if err := sink.await(ctx, relayedBytes); err != nil {
		t.Fatal(err)
	}
}
