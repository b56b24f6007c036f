package carriertest

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"flurry/common/carrier"
	"flurry/common/simnet/line"
)

var _ carrier.BatchSender = (*ShapedConn)(nil)

func TestShapedPairKeepsTheContract(t *testing.T) {
	for name, o := range map[string]Shaped{
		"stream":  {Kind: Stream},
		"ordered": {Kind: Ordered, MaxMessage: 65535},
		"bad line": {Kind: Stream, Buffer: 8 << 20, AB: line.Shape{Rate: 50e6, Delay: time.Millisecond, Loss: 0.05, Reorder: 0.1, ReorderBy: time.Millisecond},
			BA: line.Shape{Delay: time.Millisecond, Jitter: time.Millisecond}},
	} {
		t.Run(name, func(t *testing.T) {
			Check(t, func(*testing.T) (carrier.Conn, carrier.Conn) { return ShapedPair(o) })
		})
	}
}

// flood sends messages of 1000 bytes from a to b for d and returns how many
// bytes b has by then. The time is that of the bubble.
func flood(t *testing.T, a, b *ShapedConn, d time.Duration) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	got, done := 0, make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 2000)
		for {
			n, err := b.Recv(buf)
			if err != nil {
				return
			}
			if ctx.Err() == nil {
				got += n
			}
		}
	}()
	msg := make([]byte, 1000)
	for a.Send(ctx, msg) == nil {
		if a.Traits().Lossy {
			time.Sleep(time.Millisecond) // 1 MB/s
		}
	}
	b.Close()
	<-done
	return got
}

func TestShapedPairHasTheRate(t *testing.T) {
	for name, kind := range map[string]Kind{"lossy": Lossy, "ordered": Ordered, "stream": Stream} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := ShapedPair(Shaped{Kind: kind, AB: line.Shape{Rate: 100_000, Delay: 100 * time.Millisecond}})
				defer a.Close()
				if got := flood(t, a, b, 10*time.Second); got < 980_000 || got > 1_000_000 {
					t.Errorf("%d bytes in 10 s at 100 kB/s", got)
				}
				if s := a.Line().Stats(); (s.Dropped > 0) != (kind == Lossy) {
					t.Errorf("%d dropped", s.Dropped)
				}
			})
		})
	}
}

func TestShapedPairsShareALine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		home := line.New(line.Shape{Rate: 100_000, Queue: 100 * time.Millisecond})
		got := make(chan int, 2)
		for range 2 {
			go func() {
				a, b := ShapedPair(Shaped{Kind: Ordered, ThenAB: []*line.Line{home}})
				defer a.Close()
				got <- flood(t, a, b, 10*time.Second)
			}()
		}
		x, y := <-got, <-got
		if sum := x + y; sum < 950_000 || sum > 1_000_000 || x < sum/3 || y < sum/3 {
			t.Errorf("%d and %d bytes in 10 s over one line of 100 kB/s", x, y)
		}
	})
}

func TestStreamsKeepTheirOrderOnABadLine(t *testing.T) {
	for name, kind := range map[string]Kind{"ordered": Ordered, "stream": Stream} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := ShapedPair(Shaped{Kind: kind, AB: line.Shape{Rate: 1e6, Delay: 50 * time.Millisecond, Loss: 0.1, Reorder: 0.5, Seed: 3}})
				defer b.Close()
				go func() {
					defer a.Close()
					for i := range 2000 {
						a.Send(context.Background(), binary.BigEndian.AppendUint32(nil, uint32(i)))
					}
				}()
				buf := make([]byte, 100)
				for i := range 2000 {
					if n, err := b.Recv(buf); n != 4 || err != nil || binary.BigEndian.Uint32(buf) != uint32(i) {
						t.Fatalf("message %d: % x, %v", i, buf[:n], err)
					}
				}
				if _, err := b.Recv(buf); err != io.EOF {
					t.Errorf("at the end: %v", err)
				}
			})
		})
	}
}

func TestShapedSilence(t *testing.T) {
	for name, kind := range map[string]Kind{"lossy": Lossy, "ordered": Ordered} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := ShapedPair(Shaped{Kind: kind, AB: line.Shape{Delay: 50 * time.Millisecond}, Buffer: 100})
				defer a.Close()
				defer b.Close()
				a.Silence(true)
				a.Send(t.Context(), []byte("unheard?"))
				time.Sleep(time.Hour)
				a.Silence(false)
				a.Send(t.Context(), []byte("heard"))
				buf := make([]byte, 100)
				want := map[Kind]string{Lossy: "heard", Ordered: "unheard?"}[kind]
				if n, err := b.Recv(buf); err != nil || string(buf[:n]) != want {
					t.Errorf("%q, %v; want %q", buf[:n], err, want)
				}
			})
		})
	}
}

func TestShapedKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := ShapedPair(Shaped{Kind: Ordered, Buffer: 2500, AB: line.Shape{Delay: time.Second}})
		defer b.Close()
		a.Send(t.Context(), []byte("never seen"))
		a.Kill()
		got := make(chan error, 1)
		go func() {
			_, err := b.Recv(make([]byte, 10))
			got <- err
		}()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		sent := 0
		for b.Send(ctx, make([]byte, 1000)) == nil {
			sent++
		}
		if sent != 2 || !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			t.Errorf("%d messages found room in 2500 bytes that nobody reads", sent)
		}
		select {
		case err := <-got:
			t.Errorf("the other end heard of it: %v", err)
		default:
		}
		b.Close()
		<-got
	})
}

func BenchmarkShapedPair(b *testing.B) {
	x, y := ShapedPair(Shaped{})
	defer x.Close()
	defer y.Close()
	msg, buf := make([]byte, 1140), make([]byte, 1400)
	b.ReportAllocs()
	for b.Loop() {
		if err := x.Send(b.Context(), msg); err != nil {
			b.Fatal(err)
		}
		if _, err := y.Recv(buf); err != nil {
			b.Fatal(err)
		}
	}
}
