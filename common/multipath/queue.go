package multipath

import "time"

// maxPacket is the largest packet that KCP hands down or a peer may send (spec
// section 7.2).
const maxPacket = 1400

// packet is one KCP packet in a buffer from the Conn's pool.
type packet struct {
	n    int
	at   time.Time // when it was written
	data [maxPacket]byte
}

func (p *packet) bytes() []byte { return p.data[:p.n] }

// queue is a first-in first-out queue of packets that knows its size in bytes.
type queue struct {
	ring  []*packet // a power of two long
	head  int
	count int
	size  int // bytes
}

func (q *queue) push(p *packet) {
	if q.count == len(q.ring) {
		q.grow()
	}
	q.ring[(q.head+q.count)&(len(q.ring)-1)] = p
	q.count++
	q.size += p.n
}

// pushFront puts a packet back that was taken too early.
func (q *queue) pushFront(p *packet) {
	if q.count == len(q.ring) {
		q.grow()
	}
	q.head = (q.head - 1) & (len(q.ring) - 1)
	q.ring[q.head] = p
	q.count++
	q.size += p.n
}

func (q *queue) front() *packet {
	if q.count == 0 {
		return nil
	}
	return q.ring[q.head]
}

func (q *queue) pop() *packet {
	p := q.ring[q.head]
	q.ring[q.head] = nil
	q.head = (q.head + 1) & (len(q.ring) - 1)
	q.count--
	q.size -= p.n
	return p
}

func (q *queue) grow() {
	ring := make([]*packet, max(16, 2*len(q.ring)))
	for i := range q.count {
		ring[i] = q.ring[(q.head+i)&(len(q.ring)-1)]
	}
	q.ring, q.head = ring, 0
}
