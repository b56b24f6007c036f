package snowproxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/netip"
	"net/url"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"flurry/common/carrier"
	"flurry/common/carrier/carriertest"
)

// onceUpstream gives relay to the first client; the check at the start and
// later clients get carriers that say nothing.
func onceUpstream(relay carrier.Conn) fakeUpstream {
	var given atomic.Bool
	return func(ctx context.Context, u *url.URL, client netip.Addr) (carrier.Conn, error) {
		if client.IsValid() && !given.Swap(true) {
			return relay, nil
		}
		return anyUpstream(ctx, u, client)
	}
}

// send sends n bytes in one message.
func send(t *testing.T, c carrier.Conn, n int) {
	t.Helper()
	if err := c.Send(context.Background(), make([]byte, n)); err != nil {
		t.Fatal(err)
	}
}

// rig is a pump between two carriers: what the test holds is the far ends.
type rig struct {
	client, relay *carriertest.Conn // far ends
	pump          pump
	done          chan error
	cancel        context.CancelFunc
}

func newRig(o carriertest.Options) *rig {
	client, inside := carriertest.Pair(o)
	relay, outside := carriertest.Pair(o)
	r := &rig{client: client, relay: outside, done: make(chan error, 1)}
	r.pump = pump{client: inside, relay: relay, tally: &tally{}}
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() { r.done <- r.pump.run(ctx) }()
	return r
}

// finish ends everything and returns why the pump ended.
func (r *rig) finish() error {
	err := <-r.done
	r.cancel()
	r.client.Close()
	r.relay.Close()
	return err
}

// all receives until the end.
func all(c carrier.Conn) ([][]byte, error) {
	var got [][]byte
	buf := make([]byte, pumpBuffer)
	for {
		n, err := c.Recv(buf)
		if n > 0 {
			got = append(got, bytes.Clone(buf[:n]))
		}
		if err != nil {
			return got, err
		}
	}
}

func TestPumpKeepsMessagesWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(carriertest.Options{Delay: time.Millisecond})
		sizes := []int{8, 8, 1403, 1, 65535, 2048}
		go func() {
			for _, n := range sizes {
				r.client.Send(context.Background(), bytes.Repeat([]byte{'u'}, n))
				r.relay.Send(context.Background(), bytes.Repeat([]byte{'d'}, n))
			}
		}()
		for _, end := range []*carriertest.Conn{r.relay, r.client} {
			buf := make([]byte, pumpBuffer+1)
			for i, want := range sizes {
				if n, err := end.Recv(buf); n != want || err != nil {
					t.Fatalf("message %d: %d bytes, %v; want %d", i, n, err, want)
				}
			}
		}
		r.client.Close()
		r.finish()
		if up, down := r.pump.tally.outbound.Load(), r.pump.tally.inbound.Load(); up != down || up != 8+8+1403+1+65535+2048 {
			t.Errorf("counted %d up, %d down", up, down)
		}
	})
}

func TestPumpDividesWhatDoesNotFit(t *testing.T) {
	client, inside := carriertest.Pair(carriertest.Options{MaxMessage: 1000})
	relay, outside := carriertest.Pair(carriertest.Options{})
	defer client.Close()
	p := pump{client: inside, relay: relay, tally: &tally{}}
	done := make(chan error, 1)
	go func() { done <- p.run(context.Background()) }()
	send(t, outside, 2500)
	outside.Close()
	got, err := all(client)
	if len(got) != 3 || len(got[0]) != 1000 || len(got[2]) != 500 || err != io.EOF {
		t.Errorf("%d messages, %v", len(got), err)
	}
	<-done
}

// What an end sent before it closed must come out at the other, whichever it is.
func TestPumpDrainsOnClose(t *testing.T) {
	for _, fromClient := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(carriertest.Options{Delay: 20 * time.Millisecond})
			from, to := r.client, r.relay
			if !fromClient {
				from, to = to, from
			}
			for range 50 {
				send(t, from, 1400)
			}
			send(t, from, 9) // the FIN
			from.Close()
			got, err := all(to)
			if len(got) != 51 || len(got[50]) != 9 || err != io.EOF {
				t.Errorf("from client %v: %d of 51 messages, %v", fromClient, len(got), err)
			}
			if err := r.finish(); err != io.EOF {
				t.Errorf("pump ended with %v, want io.EOF", err)
			}
		})
	}
}

// failing is a carrier that is over for its watchers while Recv still has data.
type failing struct {
	carrier.Conn
	failed chan struct{}
}

func (f failing) Done() <-chan struct{} { return f.failed }
func (f failing) Err() error            { return errors.New("failed") }

func TestPumpDrainsACarrierThatFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, inside := carriertest.Pair(carriertest.Options{Delay: time.Second})
		relay, outside := carriertest.Pair(carriertest.Options{})
		send(t, client, 9)
		f := failing{inside, make(chan struct{})}
		close(f.failed)
		p := pump{client: f, relay: relay, tally: &tally{}}
		done := make(chan error, 1)
		go func() { done <- p.run(context.Background()) }()
		if got, err := all(outside); len(got) != 1 || err != io.EOF {
			t.Errorf("%d messages, %v", len(got), err)
		}
		start := time.Now()
		<-done
		if d := time.Since(start); d > drainLimit {
			t.Errorf("took %v", d)
		}
		client.Close()
		outside.Close()
	})
}

// The client stops reading: the relay must feel it, memory must not.
func TestPumpBackpressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(carriertest.Options{Capacity: 4})
		var sent atomic.Int64
		stuck := make(chan struct{})
		go func() {
			defer close(stuck)
			for r.relay.Send(context.Background(), make([]byte, 1000)) == nil {
				sent.Add(1)
			}
		}()
		synctest.Wait()
		// Two queues of 4 and the message in the pump's buffer.
		if n := sent.Load(); n > 9 {
			t.Errorf("%d messages are under way to a client that reads nothing", n)
		}
		n := 0
		for range 100 {
			if _, err := r.client.Recv(make([]byte, 1000)); err != nil {
				t.Fatal(err)
			}
			n++
		}
		r.client.Close()
		r.finish()
		<-stuck
	})
}

func TestPumpEndsInSilence(t *testing.T) {
	for _, c := range []struct {
		name         string
		client, down time.Duration // pause between messages of each end; 0: none
		want         error
		after        time.Duration
	}{
		{"nothing moves", 0, 0, errIdle, idleLimit},
		{"only the client speaks", 10 * time.Second, 0, errSilent, silentLimit},
		{"the relay speaks seldom", 0, 25 * time.Second, nil, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(carriertest.Options{})
				start := time.Now()
				stop := make(chan struct{})
				defer close(stop)
				go discard(r.relay)
				go discard(r.client)
				go talk(r.client, c.client, stop)
				go talk(r.relay, c.down, stop)
				if c.want == nil {
					time.Sleep(10 * time.Minute)
					select {
					case err := <-r.done:
						t.Fatalf("ended after %v: %v", time.Since(start), err)
					default:
					}
					r.cancel()
				}
				err := r.finish()
				if c.want != nil && (err != c.want || time.Since(start) != c.after) {
					t.Errorf("ended after %v: %v; want %v: %v", time.Since(start), err, c.after, c.want)
				}
			})
		})
	}
}

func discard(c carrier.Conn) { all(c) }

func talk(c carrier.Conn, pause time.Duration, stop chan struct{}) {
	for pause > 0 {
		select {
		case <-time.After(pause):
			if c.Send(context.Background(), []byte("x")) != nil {
				return
			}
		case <-stop:
			return
		}
	}
}

// A relay that vanished silently while the client sends: the pump must come to
// an end although nothing ever answers, and a full pipe must not hold it.
func TestPumpSurvivesASilentDeath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(carriertest.Options{Capacity: 2})
		go talk(r.client, time.Second, nil)
		r.relay.Kill()
		if err := r.finish(); err != errIdle && err != errSilent {
			t.Errorf("ended with %v", err)
		}
	})
}

func TestPumpEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(carriertest.Options{})
		synctest.Wait()
		r.cancel()
		if err := r.finish(); err != context.Canceled {
			t.Errorf("ended with %v", err)
		}
	})
}

// nothing is a carrier for benchmarks: it gives n messages and swallows all.
type nothing struct {
	n    int
	done chan struct{}
}

func (c *nothing) Recv(buf []byte) (int, error) {
	if c.n == 0 {
		return 0, io.EOF
	}
	c.n--
	return 1403, nil
}
func (c *nothing) Send(context.Context, []byte) error { return nil }
func (c *nothing) Queued() int                        { return 0 }
func (c *nothing) Traits() carrier.Traits             { return carrier.Traits{Stream: true, MaxMessage: 65535} }
func (c *nothing) Done() <-chan struct{}              { return c.done }
func (c *nothing) Err() error                         { return nil }
func (c *nothing) Close() error                       { return nil }

func TestPumpAllocatesNothingPerMessage(t *testing.T) {
	var a, b atomic.Int64
	const messages = 100_000
	got := testing.AllocsPerRun(1, func() {
		move(context.Background(), &nothing{}, &nothing{n: messages}, &a, &b)
	})
	if got > 10 {
		t.Errorf("%v allocations for %d messages", got, messages)
	}
}

func BenchmarkMove(b *testing.B) {
	var m, n atomic.Int64
	b.ReportAllocs()
	b.SetBytes(1403)
	move(context.Background(), &nothing{}, &nothing{n: b.N}, &m, &n)
}
