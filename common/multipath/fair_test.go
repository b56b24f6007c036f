package multipath

import (
	"context"
	"encoding/binary"
	"math"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"flurry/common/carrier/carriertest"
	"flurry/common/simnet/line"
)

// cubic is a TCP-like sender with CUBIC's window (RFC 9438) and selective
// acknowledgements, over a shaped pair: what a neighbour's download does to a
// bottleneck.
type cubic struct {
	conn *carriertest.ShapedConn

	window, threshold, top float64 // segments; top is the window of the last loss
	since                  time.Time
	next                   uint32
	flying                 map[uint32]time.Time
	recovered              uint32 // losses before this one are of one event
	srtt                   time.Duration
}

const neighbourSegment = 1448

func (q *cubic) grow(now time.Time) {
	if q.window < q.threshold {
		q.window++
		return
	}
	const c, beta = 0.4, 0.7
	k := math.Cbrt(q.top * (1 - beta) / c)
	t := now.Sub(q.since).Seconds() + q.srtt.Seconds()
	target := c*math.Pow(t-k, 3) + q.top
	reno := q.top*beta + 3*(1-beta)/(1+beta)*now.Sub(q.since).Seconds()/q.srtt.Seconds()
	target = min(max(target, reno), 1.5*q.window)
	if target > q.window {
		q.window += (target - q.window) / q.window
	}
}

func (q *cubic) lose(sn uint32, now time.Time) {
	if sn < q.recovered {
		return
	}
	q.recovered = q.next
	q.top = q.window
	q.window = max(2, q.window*0.7)
	q.threshold = q.window
	q.since = now
}

// run sends until stop; the other end of the pair acknowledges each segment.
func (q *cubic) run(stop time.Time) {
	ctx := context.Background()
	acks := make(chan uint32, 1<<12)
	go func() {
		defer close(acks)
		b := make([]byte, 64)
		for {
			n, err := q.conn.Recv(b)
			if err != nil {
				return
			}
			if n == 4 {
				acks <- binary.BigEndian.Uint32(b)
			}
		}
	}()
	q.window, q.threshold, q.flying = 10, math.Inf(1), map[uint32]time.Time{}
	b := make([]byte, neighbourSegment-52)
	for time.Now().Before(stop) {
		for float64(len(q.flying)) < q.window {
			binary.BigEndian.PutUint32(b, q.next)
			q.flying[q.next] = time.Now()
			q.next++
			q.conn.Send(ctx, b)
		}
		select {
		case sn, ok := <-acks:
			if !ok {
				return
			}
			now := time.Now()
			at, known := q.flying[sn]
			if !known {
				continue
			}
			delete(q.flying, sn)
			if q.srtt == 0 {
				q.srtt = now.Sub(at)
			}
			q.srtt += (now.Sub(at) - q.srtt) / 8
			for old := range q.flying {
				if old+3 < sn {
					delete(q.flying, old)
					q.lose(old, now)
				}
			}
			q.grow(now)
		case <-time.After(time.Second):
			clear(q.flying)
			q.lose(q.next, time.Now())
		}
	}
}

// sink acknowledges what comes and counts it.
func sink(conn *carriertest.ShapedConn, bytes *atomic.Int64) {
	b := make([]byte, 2000)
	for {
		n, err := conn.Recv(b)
		if err != nil {
			return
		}
		bytes.Add(int64(n) + 52)
		conn.Send(context.Background(), b[:4])
	}
}

type shared struct {
	rate       float64
	trip       time.Duration
	queue      time.Duration
	loss       float64
	bottleneck *line.Line
}

func (s *shared) pair() carriertest.Shaped {
	if s.bottleneck == nil {
		s.bottleneck = line.New(line.Shape{Rate: s.rate, Queue: s.queue})
	}
	return carriertest.Shaped{
		AB:     line.Shape{Delay: s.trip / 2, Loss: s.loss, Seed: 1},
		BA:     line.Shape{Delay: s.trip / 2, Loss: s.loss, Seed: 2},
		ThenBA: []*line.Line{s.bottleneck},
	}
}

// beside runs one session beside a CUBIC download, which begins later by apart.
func beside(t *testing.T, s *shared, apart time.Duration) (session, other float64) {
	const length = 40 * time.Second
	w := newWorld(s.pair())
	defer w.close()
	w.hello(t)
	a, b := carriertest.ShapedPair(s.pair())
	defer a.Close()
	defer b.Close()
	var got atomic.Int64
	done := make(chan struct{}, 2)
	go func() { sink(a, &got); done <- struct{}{} }()
	begin := time.Now()
	startCubic := func() { (&cubic{conn: b}).run(begin.Add(length)); done <- struct{}{} }
	if apart < 0 {
		go startCubic()
		time.Sleep(-apart)
	} else {
		go func() { time.Sleep(apart); startCubic() }()
	}
	var at [4]int64
	measured := make(chan struct{})
	count := func() (int64, int64) {
		w.server.mu.Lock()
		defer w.server.mu.Unlock()
		return w.sp[0].fl.delivered, got.Load()
	}
	go func() {
		defer close(measured)
		time.Sleep(time.Until(begin.Add(13 * time.Second)))
		at[0], at[1] = count()
		time.Sleep(time.Until(begin.Add(length - time.Second)))
		at[2], at[3] = count()
	}()
	w.download(t, length-time.Since(begin), nil)
	<-measured
	a.Close()
	<-done
	<-done
	return float64(at[2] - at[0]), float64(at[3] - at[1])
}

// Beside one CUBIC download a session gets its part of the line, whoever came
// first. What was measured stands beside each; the bounds leave room for what
// small changes do to two windows that meet.
func TestBesideCubic(t *testing.T) {
	cases := []struct {
		s     shared
		apart time.Duration // by which the neighbour comes later
		least float64
		most  float64
	}{
		{shared{rate: 2.5e6, trip: 100 * time.Millisecond, queue: 150 * time.Millisecond}, 3 * time.Second, 0.35, 0.65},  // 51 %
		{shared{rate: 2.5e6, trip: 100 * time.Millisecond, queue: 150 * time.Millisecond}, -3 * time.Second, 0.35, 0.65}, // 44 %
		{shared{rate: 2.5e6, trip: 100 * time.Millisecond, queue: 150 * time.Millisecond}, -10 * time.Second, 0.3, 0.65}, // 42 %
		{shared{rate: 2.5e6, trip: 50 * time.Millisecond, queue: 100 * time.Millisecond}, -3 * time.Second, 0.35, 0.65},  // 51 %
		{shared{rate: 2.5e6, trip: 170 * time.Millisecond, queue: 200 * time.Millisecond}, -3 * time.Second, 0.35, 0.65}, // 43 %
		{shared{rate: 2.5e6, trip: 100 * time.Millisecond, queue: 300 * time.Millisecond}, -3 * time.Second, 0.3, 0.65},  // 43 %
		{shared{rate: 1e6, trip: 100 * time.Millisecond, queue: 100 * time.Millisecond}, 3 * time.Second, 0.35, 0.8},     // 65 %
		{shared{rate: 6e6, trip: 100 * time.Millisecond, queue: 60 * time.Millisecond}, 3 * time.Second, 0.35, 0.8},      // 60 %
		{shared{rate: 6e6, trip: 170 * time.Millisecond, queue: 200 * time.Millisecond}, -3 * time.Second, 0.15, 0.65},   // 30 %
	}
	if raceEnabled {
		cases = cases[:1] // the others run the same code, and the detector takes its time
	}
	for _, c := range cases {
		synctest.Test(t, func(t *testing.T) {
			session, other := beside(t, &c.s, c.apart)
			share := session / (session + other)
			t.Logf("%.0f kB/s, %v, queue %v, neighbour after %v: %.0f %% of the line",
				c.s.rate/1e3, c.s.trip, c.s.queue, c.apart, 100*share)
			if share < c.least || share > c.most {
				t.Errorf("want between %.0f and %.0f %%", 100*c.least, 100*c.most)
			}
		})
	}
}

// Two sessions through one line share it.
func TestTwoSessions(t *testing.T) {
	for _, apart := range []time.Duration{0, 3 * time.Second} { // 55 and 56 %
		synctest.Test(t, func(t *testing.T) {
			s := shared{rate: 2.5e6, trip: 100 * time.Millisecond, queue: 150 * time.Millisecond}
			a, b := newWorld(s.pair()), newWorld(s.pair())
			defer a.close()
			defer b.close()
			first, second := together(t, a, b, apart, 0, func() {})
			share := first / (first + second)
			t.Logf("%v apart: the first has %.0f %% of the line", apart, 100*share)
			if share < 0.35 || share > 0.65 {
				t.Error("want between 35 and 65 %")
			}
			if used := (first + second) / s.rate; used < 0.75 {
				t.Errorf("together they use %.0f %% of the line", 100*used)
			}
		})
	}
}

// together has two worlds download for some time, the second one later by apart.
// When both are going event is called, and wait after that it returns the bytes
// per second that each gets.
func together(t *testing.T, a, b *world, apart, wait time.Duration, event func()) (first, second float64) {
	const going, counted = 13 * time.Second, 26 * time.Second
	length := going + wait + counted + time.Second
	a.hello(t)
	b.hello(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		time.Sleep(apart)
		b.download(t, length-apart, nil)
	}()
	a.download(t, length, func() {
		time.Sleep(going)
		event()
		time.Sleep(wait)
		from, other := a.delivered(), b.delivered()
		time.Sleep(counted)
		first = (a.delivered() - from) / counted.Seconds()
		second = (b.delivered() - other) / counted.Seconds()
	})
	<-done
	return first, second
}

// delivered is how many bytes the server has brought over its only path.
func (w *world) delivered() float64 {
	w.server.mu.Lock()
	defer w.server.mu.Unlock()
	return float64(w.sp[0].fl.delivered)
}

// impose has the server go on as if its only path delivered rate bytes per second.
func (w *world) impose(rate float64) {
	w.server.mu.Lock()
	defer w.server.mu.Unlock()
	c := &w.sp[0].ctl
	c.rate = rate
	c.keep(c.trip.leastAt)
}

// Whatever shares two sessions have of a line, they come to share it: they are
// given shares of 10 and 90 %, and counted a minute later. The first had 44 to
// 46 % then, 55 on the line that loses.
func TestSessionsConverge(t *testing.T) {
	for _, s := range few([]shared{
		{rate: 2.5e6, trip: 100 * time.Millisecond, queue: 150 * time.Millisecond},
		{rate: 6e6, trip: 170 * time.Millisecond, queue: 200 * time.Millisecond},
		{rate: 0.5e6, trip: 170 * time.Millisecond, queue: 300 * time.Millisecond},
		{rate: 2.5e6, trip: 100 * time.Millisecond, queue: 150 * time.Millisecond, loss: 0.05},
		{rate: 2.5e6, trip: 100 * time.Millisecond, queue: 30 * time.Millisecond},
		{rate: 2.5e6, trip: 50 * time.Millisecond, queue: 100 * time.Millisecond},
	}) {
		synctest.Test(t, func(t *testing.T) {
			a, b := newWorld(s.pair()), newWorld(s.pair())
			defer a.close()
			defer b.close()
			first, second := together(t, a, b, 0, time.Minute, func() {
				a.impose(0.1 * s.rate)
				b.impose(0.9 * s.rate)
			})
			share := first / (first + second)
			t.Logf("%.0f kB/s, %v, queue %v, loss %.0f %%: the first has %.0f %% of the line", s.rate/1e3, s.trip, s.queue, 100*s.loss, 100*share)
			if share < 0.35 || share > 0.65 {
				t.Error("want between 35 and 65 %")
			}
		})
	}
}
