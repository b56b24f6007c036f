package rtc

import (
	"context"
	"flag"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"flurry/common/simnet"
	"flurry/common/simnet/line"

	"github.com/pion/transport/v5"
)

// roomyHost is a host whose sockets have the buffers that ours ask for.
type roomyHost struct{ *simnet.Host }

func (h roomyHost) ListenUDP(network string, laddr *net.UDPAddr) (transport.UDPConn, error) {
	c, err := h.Host.ListenUDP(network, laddr)
	if err == nil {
		err = c.SetReadBuffer(socketBuffer)
	}
	return c, err
}

// flow is what a sender with always more to send got through a line.
type flow struct {
	rate  float64 // bytes a second received, warming up not counted
	most  int     // bytes that were unacknowledged at once, warming up not counted
	wire  int     // packets of all kinds put on the line, for each that carried data
	queue time.Duration
}

// over measures, in a bubble, a channel of the kind through a volunteer's line:
// up is its way to the client, the delay that of a whole round trip.
func over(t testing.TB, kind Kind, up line.Shape, roundTrip, warm, length time.Duration) flow {
	t.Helper()
	const quarter = 4
	up.Delay, up.Seed = roundTrip/quarter, 3
	down := line.Shape{Delay: roundTrip / quarter, Loss: up.Loss, Seed: 4}
	w := simnet.New()
	client := w.Host(simnet.Access{Up: line.Shape{Delay: roundTrip / quarter}, Down: line.Shape{Delay: roundTrip / quarter}})
	volunteer := w.Host(simnet.Access{Up: up, Down: down})
	a, b := pairOf(t, Config{Net: roomyHost{client}}, Config{Net: roomyHost{volunteer}}, func(string) Kind { return kind })

	msg := make([]byte, 16<<10)
	if kind == Unordered {
		msg = msg[:1142]
	}
	ctx, stop := context.WithCancel(context.Background())
	sender, receiver := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(sender)
		for b.Send(ctx, msg) == nil {
		}
	}()
	var received atomic.Int64
	go func() {
		defer close(receiver)
		buf := make([]byte, maxMessage)
		for {
			n, err := a.Recv(buf)
			if err != nil {
				return
			}
			received.Add(int64(n))
		}
	}()
	time.Sleep(warm)
	begin, packets := received.Load(), volunteer.Up().Stats().Arrived
	var f flow
	for range int(length / time.Second) {
		time.Sleep(time.Second)
		f.most = max(f.most, b.Queued())
	}
	got := received.Load() - begin
	f.rate = float64(got) / length.Seconds()
	f.wire = int(float64(volunteer.Up().Stats().Arrived-packets) * 1142 / float64(got+1))
	f.queue = volunteer.Up().Stats().Longest
	stop()
	<-sender
	b.Close()
	a.Close()
	<-receiver
	return f
}

// An unordered channel is not slowed down by random loss, and does not fill the
// line with anything but data.
func TestUnorderedBearsLoss(t *testing.T) {
	for _, loss := range []float64{0, 0.03} {
		synctest.Test(t, func(t *testing.T) {
			const rate = 2e6
			f := over(t, Unordered, line.Shape{Rate: rate, Loss: loss}, 100*time.Millisecond, 2*time.Second, 4*time.Second)
			if f.rate < 0.75*rate || f.wire > 2 {
				t.Errorf("loss %v: %+v", loss, f)
			}
		})
	}
}

// A thin line is kept full with little waiting before it, although nobody above
// bounds what is sent. What an ordered channel loses in the line's short queue
// holds up the rest, so it has pauses, of seconds where what is sent again is
// lost again: what it carries is bounded as the mean of several lines.
func TestThinLines(t *testing.T) {
	for kind, c := range map[Kind]struct {
		share float64
		lines int
	}{Reliable: {0.4, 8}, Unordered: {0.85, 1}} {
		for _, rate := range []float64{62.5e3, 125e3} {
			t.Run(fmt.Sprintf("%s/%.0f", kind, rate), func(t *testing.T) {
				mean, shape := 0.0, line.Shape{Rate: rate, Queue: 200 * time.Millisecond}
				for i := range c.lines {
					synctest.Test(t, func(t *testing.T) {
						f := over(t, kind, shape, time.Duration(60+i)*time.Millisecond, 20*time.Second, 20*time.Second)
						if mean += f.rate / float64(c.lines); f.most > 80<<10 {
							t.Errorf("%+v", f)
						}
					})
				}
				if mean < c.share*rate {
					t.Errorf("%.0f bytes a second of %.0f", mean, rate)
				}
			})
		}
	}
}

var lossTable = flag.Bool("loss-table", false, "measure channels at several rates of loss")

// TestLossTable prints what a channel carries over 8 MB/s at several rates of
// loss: go test -v -run LossTable . -loss-table
func TestLossTable(t *testing.T) {
	kinds := []Kind{Reliable, Unordered}
	trips := []time.Duration{100 * time.Millisecond, 200 * time.Millisecond}
	losses := []float64{0, 0.01, 0.03, 0.1}
	if !*lossTable { // one row, which shows that it works
		kinds, trips, losses = kinds[1:], trips[:1], losses[:1]
	}
	for _, kind := range kinds {
		for _, trip := range trips {
			for _, loss := range losses {
				synctest.Test(t, func(t *testing.T) {
					f := over(t, kind, line.Shape{Rate: 8e6, Loss: loss}, trip, 5*time.Second, 10*time.Second)
					if loss == 0 && f.rate < 4e6 {
						t.Errorf("%.2f MB/s of 8", f.rate/1e6)
					}
					t.Logf("%-13s %v loss %2.0f %%: %5.2f MB/s, %d KiB under way", kind, trip, loss*100, f.rate/1e6, f.most>>10)
				})
			}
		}
	}
}
