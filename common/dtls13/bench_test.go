package dtls13

import (
	"context"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
)

// A blockingEnd is a pipeEnd that waits for room, so that nothing is lost.
type blockingEnd struct{ *pipeEnd }

func (p blockingEnd) Write(b []byte) (int, error) {
	var d []byte
	select {
	case d = <-p.free:
	default:
	}
	select {
	case p.out <- append(d[:0], b...):
		return len(b), nil
	case <-p.closed:
		return 0, net.ErrClosed
	}
}

func (p blockingEnd) WriteTo(b []byte, _ net.Addr) (int, error) { return p.Write(b) }

// benchPayload is what SCTP gives to DTLS in bulk.
const benchPayload = 1188

func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// bulk sends records one way. The figure to compare is MB per second of CPU, of
// both ends together.
func bulk(b *testing.B, from, to net.Conn) {
	b.Helper()
	payload, buf := make([]byte, benchPayload), make([]byte, 4096)
	done := make(chan error, 1)
	b.SetBytes(benchPayload)
	b.ReportAllocs()
	b.ResetTimer()
	before := cpuTime()
	go func() {
		for range b.N {
			if _, err := to.Read(buf); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for range b.N {
		if _, err := from.Write(payload); err != nil {
			b.Fatal(err)
		}
	}
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)*benchPayload/1e6/(cpuTime()-before).Seconds(), "MB/CPU-s")
}

func benchmarkOurs(b *testing.B, client, server Config) {
	x, y := newPipe()
	ctx, cancel := context.WithTimeout(context.Background(), testLimit)
	defer cancel()
	type end struct {
		c   *Conn
		err error
	}
	done := make(chan end, 1)
	go func() {
		s, err := Server(ctx, blockingEnd{y}, server)
		done <- end{s, err}
	}()
	c, err := Client(ctx, blockingEnd{x}, client)
	s := <-done
	if err != nil || s.err != nil {
		b.Fatal(err, s.err)
	}
	defer c.Close()
	defer s.c.Close()
	bulk(b, c, s.c)
}

func BenchmarkBulk(b *testing.B) {
	for _, id := range []uint16{suiteAES128, suiteAES256, suiteChaCha} {
		name := map[uint16]string{suiteAES128: "13 AES-128", suiteAES256: "13 AES-256", suiteChaCha: "13 ChaCha20"}[id]
		b.Run(name, func(b *testing.B) {
			cfg := testConfig(b, Chromium())
			cfg.Profile.suites = []uint16{id}
			benchmarkOurs(b, cfg, cfg)
		})
	}
	b.Run("12 AES-128", func(b *testing.B) {
		cfg := testConfig(b, Chromium())
		benchmarkOurs(b, only12(cfg), cfg)
	})
	b.Run("12 AES-128 of pion", benchmarkPion)
}

func benchmarkPion(b *testing.B) {
	x, y := newPipe()
	ctx, cancel := context.WithTimeout(context.Background(), testLimit)
	defer cancel()
	done := make(chan result, 1)
	suite := dtls.WithCipherSuites(dtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256)
	go func() {
		s, err := pionServer(ctx, blockingEnd{y}, y.RemoteAddr(), append(pionOptions(b), suite))
		done <- result{s, err}
	}()
	c, err := pionClient(ctx, blockingEnd{x}, x.RemoteAddr(), append(pionOptions(b), suite))
	s := <-done
	if err != nil || s.err != nil {
		b.Fatal(err, s.err)
	}
	defer c.Close()
	defer s.conn.Close()
	bulk(b, c, s.conn)
}
