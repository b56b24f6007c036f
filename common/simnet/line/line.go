// Package line is what a line of a network does to packets, and nothing else:
// it is the one model under the shaped pairs of package carriertest and under
// the hosts of package simnet.
//
//	Put ─▶ [ queue, drop-tail ] ─▶ rate ─▶ loss ─▶ delay, jitter, reordering ─▶ Arrive
//	            │                            │
//	            ╰──────────── Lost ◀─────────╯
//
// A Line is one direction. It runs on timers, without a goroutine of its own,
// so it needs no Close, and in a bubble of testing/synctest it keeps the
// bubble's time: two minutes of traffic take as long as the processor needs.
package line

import (
	"math/rand/v2"
	"sync"
	"time"
)

// A Shape says how a Line treats packets. The zero value carries everything at
// once.
type Shape struct {
	Rate  float64       // bytes a second; 0 means no limit
	Delay time.Duration // from the end of a packet's transmission to its arrival

	// Jitter is added to Delay, evenly between 0 and Jitter for each packet.
	// It moves packets apart and together; it does not change their order.
	Jitter time.Duration

	// Queue and QueueBytes bound what waits before the Rate; with both set the
	// smaller bound holds, with neither it is 200 ms but at least 15000 bytes,
	// ten packets. A packet that finds no room is dropped, unless the queue is
	// empty. Without a Rate nothing waits.
	Queue      time.Duration
	QueueBytes int

	Loss float64 // probability that a packet vanishes after it took its share of Rate

	// Reorder is the share of packets that leave the order and arrive later
	// than they would, evenly between 0 and ReorderBy; 0 means 20 ms.
	Reorder   float64
	ReorderBy time.Duration

	// Silent lets nothing arrive any more, of what is on the way neither, and
	// nobody is told.
	Silent bool

	// Seed is of the losses, the jitter and the reordering. Change does not
	// look at it.
	Seed uint64
}

const (
	defaultQueue      = 200 * time.Millisecond
	defaultQueueBytes = 10 * 1500
	defaultReorderBy  = 20 * time.Millisecond
)

// room returns the bytes that may wait.
func (s *Shape) room() int {
	byTime := int(s.Rate * s.Queue.Seconds())
	switch {
	case s.Queue > 0 && s.QueueBytes > 0:
		return min(byTime, s.QueueBytes)
	case s.Queue > 0:
		return byTime
	case s.QueueBytes > 0:
		return s.QueueBytes
	}
	return max(int(s.Rate*defaultQueue.Seconds()), defaultQueueBytes)
}

// transmission returns how long n bytes occupy the line.
func (s *Shape) transmission(n int) time.Duration {
	if s.Rate <= 0 {
		return 0
	}
	return time.Duration(float64(n) / s.Rate * float64(time.Second))
}

// A Packet is on the line from Put until one of Arrive and Lost is called. Both
// must return at once, and may call Put of another Line.
type Packet interface {
	Len() int

	// Reliable packets are those of a stream whose ends repeat what is lost:
	// loss delays one by two Delays, a full queue takes it all the same (the
	// stream's sender bounds what is under way), and silence keeps it until
	// the line speaks again.
	Reliable() bool

	Arrive()
	Lost()
}

// Stats count since New.
type Stats struct {
	Arrived int           // packets
	Bytes   int           // of the packets that arrived
	Dropped int           // packets that found the queue full
	Lost    int           // packets lost on the way, by Loss or by silence; of reliable ones, repeated
	Queued  int           // bytes that wait now
	Longest time.Duration // the longest time that a packet waited for others before it
}

// A Line carries packets one way. All methods may be called at any time.
type Line struct {
	mu    sync.Mutex
	shape Shape
	rng   *rand.Rand
	stats Stats

	queue   fifo      // what waits, the packet in transmission at the head
	backlog int       // bytes in queue
	free    time.Time // when the head's transmission ends

	air    air       // what is in flight
	last   time.Time // latest arrival of those that keep the order
	parked []Packet  // reliable packets that wait for the end of the silence

	timer   *time.Timer
	running bool // a run is delivering: it will see what is new
}

// New returns a Line of shape s.
func New(s Shape) *Line {
	return &Line{shape: s, rng: rand.New(rand.NewPCG(s.Seed, 1))}
}

// Shape returns the shape in force.
func (l *Line) Shape() Shape {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.shape
}

// Change gives the line another shape. A new rate holds for what waits already,
// a new delay only for what has not been transmitted; what waits above a smaller
// queue bound stays.
func (l *Line) Change(to func(*Shape)) {
	l.mu.Lock()
	now := time.Now()
	l.transmitLocked(now)
	old := l.shape
	to(&l.shape)
	if l.queue.len() > 0 && old.Rate != l.shape.Rate {
		left := int(l.free.Sub(now).Seconds() * old.Rate)
		l.free = now.Add(l.shape.transmission(left))
	}
	var again []Packet
	if !l.shape.Silent {
		again, l.parked = l.parked, nil
	}
	for _, p := range again {
		l.pushLocked(now, p)
	}
	l.mu.Unlock()
	l.run()
}

// Silence turns the silence on or off.
func (l *Line) Silence(on bool) { l.Change(func(s *Shape) { s.Silent = on }) }

// Stats returns the counts so far.
func (l *Line) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.stats
	s.Queued = l.backlog
	return s
}

// Put hands p to the line. p may arrive or be lost before Put returns.
func (l *Line) Put(p Packet) {
	l.mu.Lock()
	now := time.Now()
	l.transmitLocked(now)
	if !p.Reliable() && l.shape.Rate > 0 && l.backlog > 0 && l.backlog+p.Len() > l.shape.room() {
		l.stats.Dropped++
		l.mu.Unlock()
		p.Lost()
		return
	}
	l.pushLocked(now, p)
	l.mu.Unlock()
	l.run()
}

func (l *Line) pushLocked(now time.Time, p Packet) {
	if l.queue.len() == 0 {
		l.free = now.Add(l.shape.transmission(p.Len()))
	}
	l.queue.push(waiting{p, now})
	l.backlog += p.Len()
}

// transmitLocked moves what has been transmitted by now into the air.
func (l *Line) transmitLocked(now time.Time) {
	for l.queue.len() > 0 && !l.free.After(now) {
		w := l.queue.pop()
		l.backlog -= w.p.Len()
		l.stats.Longest = max(l.stats.Longest, l.free.Sub(w.since)-l.shape.transmission(w.p.Len()))
		l.flyLocked(w.p, l.free)
		if l.queue.len() > 0 {
			l.free = l.free.Add(l.shape.transmission(l.queue.head().p.Len()))
		}
	}
}

// flyLocked decides p's fate, once its transmission has ended at the given time.
func (l *Line) flyLocked(p Packet, at time.Time) {
	s := &l.shape
	due := at.Add(s.Delay)
	if s.Jitter > 0 {
		due = due.Add(time.Duration(l.rng.Int64N(int64(s.Jitter) + 1)))
	}
	f := flight{p: p}
	outOfOrder := false
	if s.Loss > 0 && l.rng.Float64() < s.Loss {
		l.stats.Lost++
		f.lost = !p.Reliable()
		due = due.Add(2 * s.Delay)
		outOfOrder = true
	}
	if s.Reorder > 0 && l.rng.Float64() < s.Reorder {
		by := s.ReorderBy
		if by == 0 {
			by = defaultReorderBy
		}
		due = due.Add(time.Duration(l.rng.Int64N(int64(by) + 1)))
		outOfOrder = true
	}
	if !outOfOrder {
		if due.Before(l.last) {
			due = l.last
		}
		l.last = due
	}
	f.due = due
	l.air.push(f)
}

// run delivers what is due and sets the timer for what comes next. Only one run
// delivers at a time, so that packets of one line arrive in order.
func (l *Line) run() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running {
		return
	}
	l.running = true
	for {
		now := time.Now()
		l.transmitLocked(now)
		f, ok := l.air.popDue(now)
		if !ok {
			break
		}
		lost := f.lost
		switch {
		case lost:
		case l.shape.Silent && f.p.Reliable():
			l.parked = append(l.parked, f.p)
			continue
		case l.shape.Silent:
			l.stats.Lost++
			lost = true
		default:
			l.stats.Arrived++
			l.stats.Bytes += f.p.Len()
		}
		l.mu.Unlock()
		if lost {
			f.p.Lost()
		} else {
			f.p.Arrive()
		}
		l.mu.Lock()
	}
	l.running = false
	l.armLocked()
}

func (l *Line) armLocked() {
	var next time.Time
	if l.queue.len() > 0 {
		next = l.free
	}
	if t, ok := l.air.first(); ok && (next.IsZero() || t.Before(next)) {
		next = t
	}
	if next.IsZero() {
		return
	}
	wait := max(time.Until(next), 0)
	if l.timer == nil {
		l.timer = time.AfterFunc(wait, l.run)
		return
	}
	l.timer.Reset(wait)
}
