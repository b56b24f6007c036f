package turbotunnel

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"flurry/common/carrier/carriertest"
	"flurry/common/multipath"
	"flurry/common/simnet/line"
)

// The window announced follows the pace at which a stream is read.
func TestRenew(t *testing.T) {
	const kib, mib = 1 << 10, 1 << 20
	conn := multipath.New(multipath.Options{}) // without paths its RTT is a guess
	defer conn.Close()
	w := newWindows(conn, Tuning{StreamWindow: mib, StreamWindowMax: 4 * mib})
	now := time.Now()
	step := func(after time.Duration) int {
		now = now.Add(after)
		return w.renew(now)
	}
	if got := step(0); got != mib {
		t.Errorf("%d at first", got)
	}
	if got := step(time.Second); got != mib {
		t.Errorf("%d for a slow reader", got)
	}
	want := renewStep + int(renewStep/0.05*windowTrips*conn.RTT().Seconds())
	if got := step(50 * time.Millisecond); got < want-1 || got > want+1 {
		t.Errorf("%d for 5 MB/s, want %d", got, want)
	}
	if got := step(time.Millisecond); got != 4*mib {
		t.Errorf("%d for a very fast reader", got)
	}
	last := step(0)
	if last > 4*mib || last < 3*mib {
		t.Errorf("%d after no time at all", last)
	}
	for range 100 {
		got := step(10 * time.Second)
		if got > last || got < last-last/8-kib && got != mib {
			t.Errorf("from %d to %d: one slow step is no slow stream", last, got)
		}
		last = got
	}
	if last != mib {
		t.Errorf("%d for a slow reader in the end", last)
	}
}

// Only the frames that renew a window are changed, and only the window in them.
func TestWindowsChangesNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := carriertest.ShapedPair(carriertest.Shaped{})
		from, to := multipath.New(multipath.Options{}), multipath.New(multipath.Options{Accept: true})
		defer from.Close()
		defer to.Close()
		from.Add(a)
		to.Add(b)
		w := newWindows(from, Tuning{StreamWindow: 1 << 20, StreamWindowMax: 4 << 20})
		for _, frame := range []struct{ head, data string }{
			{"\x02\x04\x08\x00\x03\x00\x00\x00", "\x01\x02\x03\x04\xaa\xbb\xcc\xdd"},
			{"\x02\x02\x08\x00\x03\x00\x00\x00", "\x01\x02\x03\x04\xaa\xbb\xcc\xdd"},
			{"\x02\x04\x04\x00\x03\x00\x00\x00", "\x01\x02\x03\x04"},
			{"\x02\x01\x00\x00\x03\x00\x00\x00", ""},
		} {
			want := []byte(frame.head + frame.data)
			if frame.head[1] == updateFrame && len(frame.data) == updateLength {
				binary.LittleEndian.PutUint32(want[12:], 1<<20)
			}
			if n, err := w.WriteBuffers([][]byte{[]byte(frame.head), []byte(frame.data)}); n != len(want) || err != nil {
				t.Fatal(n, err)
			}
			got := make([]byte, len(want))
			if _, err := io.ReadFull(to, got); err != nil || string(got) != string(want) {
				t.Errorf("%x became %x, want %x, %v", frame.head+frame.data, got, want, err)
			}
		}
	})
}

// sessions joins a client and a bridge over one path in virtual time, with one
// stream between them.
func sessions(t *testing.T, pair carriertest.Shaped) (client, server net.Conn, end func()) {
	t.Helper()
	a, b := carriertest.ShapedPair(pair)
	c, err := Client(over(a, multipath.Options{Ask: true}), ClientTuning())
	if err != nil {
		t.Fatal(err)
	}
	client, err = c.OpenStream(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	client.Write([]byte("hello"))
	s := converse(t, b)
	server, err = s.AcceptStream()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(server, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	return client, server, func() {
		c.Close()
		s.Close()
		synctest.Wait()
	}
}

// bubble runs f in a bubble. smux keeps channels in a sync.Pool, and a channel of
// one bubble must not be used in another: two collections empty every pool.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	runtime.GC()
	runtime.GC()
	synctest.Test(t, f)
	runtime.GC()
	runtime.GC()
}

// long is a path of 50 Mbit/s and 170 ms.
func long(loss float64) carriertest.Shaped {
	s := line.Shape{Rate: 6.25e6, Delay: 85 * time.Millisecond, Queue: 200 * time.Millisecond, Loss: loss}
	return carriertest.Shaped{AB: s, BA: s}
}

// A stream fills a long path, with repairs under way, either way.
func TestStreamFillsALongPath(t *testing.T) {
	for _, c := range []struct {
		loss, rate float64
	}{{0, 4.8}, {0.03, 3.2}} {
		for _, up := range []bool{false, true} {
			bubble(t, func(t *testing.T) {
				to, from, end := sessions(t, long(c.loss))
				defer end()
				if up {
					to, from = from, to
				}
				const size = 64 << 20
				go func() {
					b := make([]byte, 64<<10)
					for range size / len(b) {
						if _, err := from.Write(b); err != nil {
							return
						}
					}
				}()
				begin := time.Now()
				if _, err := io.CopyN(io.Discard, to, size); err != nil {
					t.Fatal(err)
				}
				rate := size / 1e6 / time.Since(begin).Seconds()
				t.Logf("loss %v, up %v: %.2f MB/s", c.loss, up, rate)
				if rate < c.rate {
					t.Errorf("%.2f MB/s with loss %v, want %.2f", rate, c.loss, c.rate)
				}
			})
		}
	}
}

// A stream that nobody reads takes no more than the window that it was given,
// and goes on when somebody does.
func TestStreamThatNobodyReads(t *testing.T) {
	bubble(t, func(t *testing.T) {
		to, from, end := sessions(t, long(0))
		defer end()
		written := make(chan int, 1)
		const size = 32 << 20
		go func() {
			n := 0
			b := make([]byte, 16<<10)
			for n < size {
				from.SetWriteDeadline(time.Now().Add(time.Minute))
				k, err := from.Write(b)
				n += k
				if err != nil {
					break
				}
			}
			written <- n
			from.SetWriteDeadline(time.Time{})
			for n < size {
				k, err := from.Write(b)
				if n += k; err != nil {
					return
				}
			}
		}()
		first := make([]byte, 3<<20) // gets the window going
		if _, err := io.ReadFull(to, first); err != nil {
			t.Fatal(err)
		}
		n := <-written
		if most := len(first) + tuning().StreamWindowMax + 64<<10; n > most {
			t.Errorf("%d bytes were taken, %d read: at most %d", n, len(first), most)
		}
		if _, err := io.CopyN(io.Discard, to, int64(size-len(first))); err != nil {
			t.Error(err)
		}
	})
}
