//go:build unix

package carriertest

import (
	"context"
	"syscall"
	"testing"
	"time"

	"flurry/common/carrier"
)

// BenchmarkSend sends b.N times batch messages of size bytes from one end to the other, and counts the processor time of both
// ends together, in seconds for 1e9 bytes. More than one at a time takes a carrier.BatchSender.
func BenchmarkSend(b *testing.B, from, to carrier.Conn, size, batch int) {
	msgs := make([][]byte, batch)
	for i := range msgs {
		msgs[i] = make([]byte, size)
	}
	send := func(ctx context.Context) error { return from.Send(ctx, msgs[0]) }
	if batch > 1 {
		send = func(ctx context.Context) error { return from.(carrier.BatchSender).SendBatch(ctx, msgs) }
	}
	size *= batch
	b.SetBytes(int64(size))
	b.ReportAllocs()
	began := CPUTime(b)
	b.ResetTimer()
	received := make(chan error, 1)
	go func() {
		buf := make([]byte, 1<<16)
		var err error
		for n := 0; n < b.N*size && err == nil; {
			var k int
			k, err = to.Recv(buf)
			n += k
		}
		received <- err
	}()
	for range b.N {
		if err := send(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
	if err := <-received; err != nil {
		b.Fatal(err)
	}
	b.ReportMetric((CPUTime(b)-began).Seconds()/(float64(b.N)*float64(size)/1e9), "cpu-s/GB")
}

// CPUTime is what this process has used so far.
func CPUTime(t testing.TB) time.Duration {
	t.Helper()
	var s syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &s); err != nil {
		t.Fatal(err)
	}
	return time.Duration(s.Utime.Nano() + s.Stime.Nano())
}
