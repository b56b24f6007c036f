package rtc

import (
	"testing"
	"time"
)

// pipe is a line with a queue, in steps of virtual time: what a sender with
// always more to send has under way is what its window allows.
type pipe struct {
	rate  float64 // bytes a second
	delay time.Duration
	now   time.Time
	w     window

	acked  float64
	queued float64       // waiting before the line
	srtt   time.Duration // as SCTP smooths it, once a round trip
	next   time.Time     // of the next sample
	idle   bool          // nothing to send
}

func newPipe(rate float64, delay time.Duration) *pipe {
	now := time.Unix(1e9, 0)
	p := &pipe{rate: rate, delay: delay, now: now, w: newWindow(now), srtt: delay, next: now}
	p.w.observe(now.Add(step), 0, delay) // the channel's opening was acknowledged
	return p
}

const step = 5 * time.Millisecond

// run lets d pass and returns the bytes acknowledged meanwhile.
func (p *pipe) run(d time.Duration) float64 {
	before := p.acked
	for range d / step {
		p.now = p.now.Add(step)
		under := float64(p.w.size)
		if p.idle {
			under = 0
		}
		p.queued = max(0, under-p.rate*p.delay.Seconds())
		rtt := p.delay + time.Duration(p.queued/p.rate*1e9)
		p.acked += min(p.rate, under/p.delay.Seconds()) * step.Seconds()
		if !p.now.Before(p.next) {
			jitter := time.Duration(p.now.UnixNano()/int64(step)%3-1) * rtt / 1000
			p.srtt += (rtt + jitter - p.srtt) / 8
			p.next = p.now.Add(rtt)
		}
		p.w.hindered = !p.idle
		if p.w.due(p.now) {
			p.w.observe(p.now, int64(p.acked), p.srtt)
		}
	}
	return p.acked - before
}

// A long fat line is filled soon, a thin one holds no more than its share, and
// both stay so.
func TestWindowFitsTheLine(t *testing.T) {
	for name, c := range map[string]struct {
		rate  float64
		delay time.Duration
		warm  time.Duration // until it must be filled
		queue time.Duration // may wait
	}{
		"1 Mbit/s, 60 ms":   {125e3, 60 * time.Millisecond, 2 * time.Second, 700 * time.Millisecond},
		"10 Mbit/s, 100 ms": {1.25e6, 100 * time.Millisecond, 2 * time.Second, 200 * time.Millisecond},
		"8 MB/s, 200 ms":    {8e6, 200 * time.Millisecond, 3 * time.Second, 350 * time.Millisecond},
		"20 MB/s, 10 ms":    {20e6, 10 * time.Millisecond, 2 * time.Second, 20 * time.Millisecond},
	} {
		p := newPipe(c.rate, c.delay)
		p.run(c.warm)
		for i := range 20 {
			got := p.run(15*time.Second) / 15
			if got < 0.85*c.rate { // a dip costs some
				t.Errorf("%s: %.0f of %.0f bytes a second after %d s", name, got, c.rate, 15*(i+1))
			}
			if wait := time.Duration(p.queued / c.rate * 1e9); wait > c.queue {
				t.Errorf("%s: %v of queue after %d s", name, wait, 15*(i+1))
			}
		}
	}
}

// When a line becomes longer or shorter, thinner or fatter, the window follows.
func TestWindowFollowsTheLine(t *testing.T) {
	for name, change := range map[string]func(*pipe){
		"longer":  func(p *pipe) { p.delay = 250 * time.Millisecond },
		"shorter": func(p *pipe) { p.delay = 20 * time.Millisecond },
		"thinner": func(p *pipe) { p.rate /= 20 },
		"fatter":  func(p *pipe) { p.rate *= 4 },
	} {
		p := newPipe(2e6, 80*time.Millisecond)
		p.run(time.Minute)
		change(p)
		p.run(5 * time.Minute)
		if got := p.run(10*time.Second) / 10; got < 0.9*p.rate {
			t.Errorf("%s: %.0f of %.0f bytes a second", name, got, p.rate)
		}
		// A line that has become shorter is not noticed as long as the queue hides it.
		if most := 3*p.rate*max(p.delay, 80*time.Millisecond).Seconds() + 2*windowSpare; float64(p.w.size) > most {
			t.Errorf("%s: window %d, more than %.0f", name, p.w.size, most)
		}
	}
}

// A pause is no reason to forget the line's rate.
func TestWindowSurvivesPauses(t *testing.T) {
	p := newPipe(5e6, 150*time.Millisecond)
	p.run(10 * time.Second)
	p.idle = true
	p.run(20 * time.Second)
	p.idle = false
	if got := p.run(time.Second); got < 0.9*5e6 {
		t.Errorf("%.0f bytes in the first second after a pause", got)
	}
}

func TestWindowBounds(t *testing.T) {
	for _, rate := range []float64{0, 1, 1e4, 1e9} {
		p := newPipe(max(rate, 1), 400*time.Millisecond)
		for range 600 {
			p.run(time.Second)
			if p.w.size < dipSpare || p.w.size > windowMost {
				t.Fatalf("rate %.0f: window %d", rate, p.w.size)
			}
		}
	}
}

// A round's rate is that of the window before it. While the line is found out the
// window keeps up all the same with a session that more than doubles what it
// sends in each round trip, and then it comes down by steps.
func TestWindowStartsFast(t *testing.T) {
	const round, line = 100 * time.Millisecond, 600e3 // bytes in a round
	now := time.Unix(1e9, 0)
	w := newWindow(now)
	acked, before := 0.0, float64(w.size)
	pass := func() {
		now = now.Add(round)
		acked += min(before, line)
		before = float64(w.size)
		w.hindered = before < 2*line
		w.observe(now, int64(acked), round)
	}
	for i := range 4 {
		pass()
		if want := windowStart << i; w.size < want {
			t.Errorf("window %d after %d rounds, want %d", w.size, i+1, want)
		}
	}
	for range 20 {
		size := w.size
		pass()
		if w.size < size-size/8 {
			t.Errorf("from %d to %d at once", size, w.size)
		}
	}
	if w.size > 2*line+windowSpare {
		t.Errorf("window %d in the end, more than twice what the line holds", w.size)
	}
}
