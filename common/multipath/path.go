package multipath

import (
	"context"
	"sync"
	"time"

	"flurry/common/carrier"
)

// batchBytes is how much a path's writer takes at once: what one message of a
// stream carrier holds.
const batchBytes = 16 << 10

// Path is one carrier in use. Its methods are safe for concurrent use.
type Path struct {
	// fixed after construction
	c     *Conn
	conn  carrier.Conn
	kind  string
	lossy bool
	fit   int // largest packet that is not cut on its way
	added time.Duration
	wake  chan struct{} // there is something to write; buffered
	done  chan struct{} // closed when both goroutines have ended

	// guarded by c.mu
	urgent   fifo[*packet] // acknowledgements, probes and answers to probes
	out      fifo[*packet]
	waiting  int // bytes in out
	fl       flight
	ctl      controller
	paceAt   time.Duration // when the next segment may leave
	open     bool          // its pace has not stopped it in this turn
	life     liveness
	sentAt   time.Duration // 0 before the first packet
	heardAt  time.Duration
	bytesIn  int64
	bytesOut int64
	gone     bool // no longer one of the Conn's

	err  error // set before done is closed
	once sync.Once
	ctx  context.Context // the path's lifetime
	stop context.CancelFunc
}

func newPath(c *Conn, conn carrier.Conn, now time.Duration) *Path {
	t := conn.Traits()
	p := &Path{c: c, conn: conn, kind: t.Kind, lossy: t.Lossy, fit: maxPacket, added: now, heardAt: now,
		wake: make(chan struct{}, 1), done: make(chan struct{})}
	if t.Fit > 0 {
		p.fit = min(p.fit, t.Fit)
	}
	p.ctx, p.stop = context.WithCancel(context.Background())
	return p
}

// Done is closed when the path has ended.
func (p *Path) Done() <-chan struct{} { return p.done }

// Err says why the path ended; nil while it lives.
func (p *Path) Err() error {
	select {
	case <-p.done:
		return p.err
	default:
		return nil
	}
}

// Close ends the path and its carrier and waits for both. What it held is sent
// again on other paths.
func (p *Path) Close() {
	p.end(carrier.ErrClosed)
	<-p.done
}

// end starts the path's end; the first reason stays.
func (p *Path) end(err error) {
	p.once.Do(func() {
		p.err = err
		p.c.drop(p)
		p.stop()
	})
}

// Info says how the path is doing.
func (p *Path) Info() PathInfo {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	return p.infoLocked(p.c.now())
}

func (p *Path) infoLocked(now time.Duration) PathInfo {
	i := p.briefLocked(now)
	i.Kind, i.Lossy = p.kind, p.lossy
	i.Added, i.LastHeard = p.c.epoch.Add(p.added), p.c.epoch.Add(p.heardAt)
	if p.sentAt != 0 {
		i.LastSent = p.c.epoch.Add(p.sentAt)
	}
	i.BytesIn, i.BytesOut = p.bytesIn, p.bytesOut
	i.Suspect = p.life.suspect()
	return i
}

// briefLocked is the part of the information that a Scheduler needs.
func (p *Path) briefLocked(now time.Duration) PathInfo {
	return PathInfo{
		RTT:      p.fl.srtt,
		Rate:     p.ctl.rate,
		Window:   p.windowLocked(),
		InFlight: p.fl.bytes,
		Wait:     p.pacedUntil(now) - now,
		Waiting:  p.waiting,
		Doubt:    p.life.doubt,
	}
}

// run moves packets until the carrier ends, then closes it.
func (p *Path) run() {
	defer p.c.tasks.Done()
	writer := make(chan struct{})
	go func() {
		defer close(writer)
		p.end(p.write())
	}()
	closer := context.AfterFunc(p.ctx, func() { p.conn.Close() })
	p.end(p.read())
	if closer() {
		p.conn.Close()
	}
	<-writer
	p.conn.Close() // a second call waits for nothing; the first may still be under way
	close(p.done)
}

// read takes in what arrives.
func (p *Path) read() error {
	pkt := newPacket()
	defer func() { pkt.free() }()
	for {
		n, err := p.conn.Recv(pkt.data[:])
		if err != nil {
			return err
		}
		pkt.n = n
		if p.c.input(p, pkt) {
			pkt = newPacket()
		}
	}
}

// write sends what the Conn gives the path, several packets at a time.
func (p *Path) write() error {
	batch := make([]*packet, 0, 64)
	msgs := make([][]byte, 0, 64)
	for {
		batch = p.c.take(p, batch[:0])
		if len(batch) == 0 {
			select {
			case <-p.wake:
				continue
			case <-p.ctx.Done():
				return carrier.ErrClosed
			}
		}
		msgs = msgs[:0]
		for _, pkt := range batch {
			msgs = append(msgs, pkt.bytes())
		}
		err := p.send(msgs)
		for _, pkt := range batch {
			pkt.free()
		}
		if err != nil {
			return err
		}
	}
}

func (p *Path) send(msgs [][]byte) error {
	if b, ok := p.conn.(carrier.BatchSender); ok {
		return b.SendBatch(p.ctx, msgs)
	}
	for _, m := range msgs {
		if err := p.conn.Send(p.ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// takeLocked moves what the writer sends next into batch.
func (p *Path) takeLocked(batch []*packet) []*packet {
	size := 0
	for _, q := range []*fifo[*packet]{&p.urgent, &p.out} {
		for q.count > 0 && size+(*q.front()).n <= batchBytes {
			pkt := q.pop()
			size += pkt.n
			if q == &p.out {
				p.waiting -= pkt.n
			}
			batch = append(batch, pkt)
		}
	}
	p.bytesOut += int64(size)
	return batch
}

// wakeUp makes the writer look.
func (p *Path) wakeUp() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}
