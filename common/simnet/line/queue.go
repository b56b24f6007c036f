package line

import "time"

// waiting is a packet before its transmission.
type waiting struct {
	p     Packet
	since time.Time
}

// fifo is a queue that keeps its memory.
type fifo struct {
	items []waiting
	from  int
}

func (q *fifo) len() int       { return len(q.items) - q.from }
func (q *fifo) head() *waiting { return &q.items[q.from] }

func (q *fifo) push(w waiting) {
	if q.from > 0 && len(q.items) == cap(q.items) {
		n := copy(q.items, q.items[q.from:])
		clear(q.items[n:])
		q.items, q.from = q.items[:n], 0
	}
	q.items = append(q.items, w)
}

func (q *fifo) pop() waiting {
	w := q.items[q.from]
	q.items[q.from] = waiting{}
	q.from++
	if q.from == len(q.items) {
		q.items, q.from = q.items[:0], 0
	}
	return w
}

// flight is a packet after its transmission.
type flight struct {
	due  time.Time
	seq  uint64 // packets due at one time arrive in the order of their transmission
	p    Packet
	lost bool
}

func (f *flight) before(g *flight) bool {
	return f.due.Before(g.due) || f.due.Equal(g.due) && f.seq < g.seq
}

// air is a heap of flights, the first to arrive on top.
type air struct {
	heap []flight
	seq  uint64
}

func (a *air) first() (time.Time, bool) {
	if len(a.heap) == 0 {
		return time.Time{}, false
	}
	return a.heap[0].due, true
}

func (a *air) push(f flight) {
	f.seq = a.seq
	a.seq++
	a.heap = append(a.heap, f)
	for i := len(a.heap) - 1; i > 0; {
		up := (i - 1) / 2
		if !a.heap[i].before(&a.heap[up]) {
			break
		}
		a.heap[i], a.heap[up] = a.heap[up], a.heap[i]
		i = up
	}
}

// popDue takes the first flight if it arrives by now.
func (a *air) popDue(now time.Time) (flight, bool) {
	if len(a.heap) == 0 || a.heap[0].due.After(now) {
		return flight{}, false
	}
	f := a.heap[0]
	n := len(a.heap) - 1
	a.heap[0] = a.heap[n]
	a.heap[n] = flight{}
	a.heap = a.heap[:n]
	for i := 0; ; {
		least := i
		for _, child := range [2]int{2*i + 1, 2*i + 2} {
			if child < n && a.heap[child].before(&a.heap[least]) {
				least = child
			}
		}
		if least == i {
			return f, true
		}
		a.heap[i], a.heap[least] = a.heap[least], a.heap[i]
		i = least
	}
}
