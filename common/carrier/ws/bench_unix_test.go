//go:build unix

package ws

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"

	"flurry/common/carrier"
)

// BenchmarkSend counts the processor time of both ends together.
func BenchmarkSend(b *testing.B) {
	for _, kind := range []struct {
		name      string
		newServer func(http.Handler) *httptest.Server
	}{{"TCP", httptest.NewServer}, {"TLS", httptest.NewTLSServer}} {
		for _, size := range []int{1140, 16384} {
			b.Run(fmt.Sprintf("%s/%dB", kind.name, size), func(b *testing.B) {
				client, server := pair(b, kind.newServer)
				for name, way := range map[string]struct{ from, to carrier.Conn }{"up": {client, server}, "down": {server, client}} {
					b.Run(name, func(b *testing.B) { benchmarkSend(b, way.from, way.to, size) })
				}
				client.Close()
				server.Close()
			})
		}
	}
}

func benchmarkSend(b *testing.B, from, to carrier.Conn, size int) {
	received := make(chan error, 1)
	msg := make([]byte, size)
	b.SetBytes(int64(size))
	b.ReportAllocs()
	began := cpuTime(b)
	b.ResetTimer()
	go func() {
		buf := make([]byte, 65536)
		var err error
		for n := 0; n < b.N*size && err == nil; {
			var k int
			k, err = to.Recv(buf)
			n += k
		}
		received <- err
	}()
	for range b.N {
		if err := from.Send(context.Background(), msg); err != nil {
			b.Fatal(err)
		}
	}
	if err := <-received; err != nil {
		b.Fatal(err)
	}
	b.ReportMetric((cpuTime(b)-began).Seconds()/(float64(b.N)*float64(size)/1e9), "cpu-s/GB")
}

// cpuTime is what this process has used so far.
func cpuTime(t testing.TB) time.Duration {
	var s syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &s); err != nil {
		t.Fatal(err)
	}
	return time.Duration(s.Utime.Nano() + s.Stime.Nano())
}
