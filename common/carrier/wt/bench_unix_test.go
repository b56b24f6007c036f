//go:build unix

package wt

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"
)

// batchBytes is what a path gives its carrier at once (package multipath).
const batchBytes = 16 << 10

// BenchmarkSend counts the processor time of both ends together, as the benchmark
// of package ws does.
func BenchmarkSend(b *testing.B) {
	for _, size := range []int{1140, 16384} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			client, server := pair(b)
			for name, way := range map[string]struct{ from, to *Conn }{"up": {client, server}, "down": {server, client}} {
				b.Run(name, func(b *testing.B) { benchmarkSend(b, way.from, way.to, size, 1) })
				b.Run(name+" in batches", func(b *testing.B) { benchmarkSend(b, way.from, way.to, size, batchBytes/size) })
			}
		})
	}
}

func benchmarkSend(b *testing.B, from, to *Conn, size, batch int) {
	received := make(chan error, 1)
	msgs := make([][]byte, batch)
	for i := range msgs {
		msgs[i] = make([]byte, size)
	}
	size *= batch
	b.SetBytes(int64(size))
	b.ReportAllocs()
	began := cpuTime(b)
	b.ResetTimer()
	go func() {
		buf := make([]byte, maxMessage)
		var err error
		for n := 0; n < b.N*size && err == nil; {
			var k int
			k, err = to.Recv(buf)
			n += k
		}
		received <- err
	}()
	for range b.N {
		if err := from.SendBatch(context.Background(), msgs); err != nil {
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
