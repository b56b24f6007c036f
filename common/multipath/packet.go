package multipath

import "sync"

// packet is a buffer for one packet, or for the data of one segment.
type packet struct {
	n    int
	data [maxPacket]byte
}

func (p *packet) bytes() []byte { return p.data[:p.n] }

// pool is where all Conns get their buffers from: a server's idle sessions hold
// none of their own.
var pool = sync.Pool{New: func() any { return new(packet) }}

func newPacket() *packet {
	p := pool.Get().(*packet)
	p.n = 0
	return p
}

// free gives the buffer back; nobody may use it any more.
func (p *packet) free() { pool.Put(p) }

// fifo is a first-in first-out queue that grows as needed.
type fifo[T any] struct {
	ring  []T // a power of two long
	head  int
	count int
	peak  int // largest count since the queue was empty
}

func (q *fifo[T]) push(v T) {
	if q.count == len(q.ring) {
		ring := make([]T, max(16, 2*len(q.ring)))
		for i := range q.count {
			ring[i] = q.ring[(q.head+i)&(len(q.ring)-1)]
		}
		q.ring, q.head = ring, 0
	}
	q.ring[(q.head+q.count)&(len(q.ring)-1)] = v
	q.count++
	q.peak = max(q.peak, q.count)
}

// front is the oldest element of a queue that has one.
func (q *fifo[T]) front() *T { return &q.ring[q.head] }

func (q *fifo[T]) pop() T {
	var zero T
	v := q.ring[q.head]
	q.ring[q.head] = zero
	q.head = (q.head + 1) & (len(q.ring) - 1)
	q.count--
	if q.count == 0 {
		if len(q.ring) > keepRing && q.peak < len(q.ring)/4 {
			q.ring, q.head = nil, 0
		}
		q.peak = 0
	}
	return v
}

// keepRing is how long a queue's ring may be when it is empty and most of it was
// not needed the last time: an idle session gives back what a busy one needed.
const keepRing = 64
