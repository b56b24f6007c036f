package multipath

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"flurry/common/carrier"
)

const (
	// batchBytes is how much a path's writer takes at once: what one message
	// of a stream carrier holds.
	batchBytes = 16 << 10

	// suspectAfter is how long a path may be stalled before it is suspect and
	// worth replacing. SCTP sends again after a second (RFC 9260 section 16)
	// and, if that is lost too, two seconds later; waiting for the latter would
	// cost every user whose volunteer has left another second, and a mistake
	// costs one more volunteer asked.
	suspectAfter = 2 * time.Second

	// doubtAfter is how long a path may be stalled before its packets go to
	// others, if there are any that are not. A mistake costs a few duplicates,
	// so it can be short: some two round trips of a long path.
	doubtAfter = 400 * time.Millisecond

	// sampleEvery bounds how often a path's rate is measured.
	sampleEvery = 20 * time.Millisecond
)

// Path is one carrier in use by one peer. Its methods are safe for concurrent
// use.
type Path struct {
	// fixed after construction
	c     *Conn
	peer  *peer
	conn  carrier.Conn
	kind  string
	added time.Time
	wake  chan struct{} // something is in out; buffered
	done  chan struct{} // closed when both goroutines have ended

	out queue // guarded by peer.mu

	// atomic: UnixNano, or bytes
	lastHeard, lastSent, progress atomic.Int64
	bytesIn, bytesOut, waiting    atomic.Int64
	backlog                       atomic.Int64 // carrier's Queued when last sampled

	rate meter

	err  error // set before done is closed
	once sync.Once
	stop context.CancelFunc
	ctx  context.Context // the path's lifetime
}

// meter measures how fast a path drains while it is busy.
type meter struct {
	mu   sync.Mutex
	at   time.Time
	gone int64 // bytes that had left by then
	busy bool  // something was still queued then
	rate float64
}

func newPath(c *Conn, p *peer, conn carrier.Conn) *Path {
	now := time.Now()
	path := &Path{c: c, peer: p, conn: conn, kind: conn.Traits().Kind, added: now,
		wake: make(chan struct{}, 1), done: make(chan struct{})}
	path.ctx, path.stop = context.WithCancel(context.Background())
	path.lastHeard.Store(now.UnixNano())
	path.progress.Store(now.UnixNano())
	return path
}

// reliable reports that the path delivers whatever it takes while it lives.
// Every carrier in use does: a framed byte stream.
func (p *Path) reliable() bool {
	select {
	case <-p.ctx.Done():
		return false
	default:
		return true
	}
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

// Close ends the path and its carrier and waits for both. Packets that were
// waiting for it go to the peer's other paths.
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

// Stalled is for how long the path has held bytes without getting rid of any
// and without being heard; 0 when all is well. It is measured from one call to
// the next: a path that nobody looked at while it was idle is not at fault.
func (p *Path) Stalled(now time.Time) time.Duration {
	q := int64(p.conn.Queued()) + p.waiting.Load()
	if old := p.backlog.Swap(q); q == 0 || q < old || old == 0 {
		p.progress.Store(now.UnixNano())
		return 0
	}
	last := max(p.progress.Load(), p.lastHeard.Load())
	return max(0, time.Duration(now.UnixNano()-last))
}

// Info says how the path is doing.
func (p *Path) Info() PathInfo { return p.info(time.Now()) }

func (p *Path) info(now time.Time) PathInfo {
	queued := p.conn.Queued()
	i := PathInfo{
		Kind:      p.kind,
		Waiting:   int(p.waiting.Load()),
		Queued:    queued,
		Added:     p.added,
		LastHeard: time.Unix(0, p.lastHeard.Load()),
		BytesIn:   p.bytesIn.Load(),
		BytesOut:  p.bytesOut.Load(),
		Stalled:   p.Stalled(now),
	}
	i.Suspect = i.Stalled > suspectAfter
	i.DrainRate = p.rate.sample(now, i.BytesOut-int64(queued), queued > 0)
	if at := p.lastSent.Load(); at != 0 {
		i.LastSent = time.Unix(0, at)
	}
	return i
}

// sample returns the smoothed rate. Only time in which something was always
// queued counts: otherwise it was the source that was slow.
func (m *meter) sample(now time.Time, gone int64, busy bool) float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := now.Sub(m.at)
	if d < sampleEvery {
		return m.rate
	}
	if m.busy && busy && d < time.Second && gone >= m.gone {
		r := float64(gone-m.gone) / d.Seconds()
		if m.rate == 0 {
			m.rate = r
		} else {
			m.rate += (r - m.rate) / 4
		}
	}
	m.at, m.gone, m.busy = now, gone, busy
	return m.rate
}

// run moves packets until the carrier ends, then closes it.
func (p *Path) run() {
	defer p.c.wg.Done()
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

// read delivers what arrives. The inbox may block: that is backpressure.
func (p *Path) read() error {
	for {
		pkt := p.c.get()
		n, err := p.conn.Recv(pkt.data[:])
		if err != nil {
			p.c.put(pkt)
			return err
		}
		now := time.Now()
		pkt.n = n
		p.lastHeard.Store(now.UnixNano())
		p.bytesIn.Add(int64(n))
		p.peer.received(pkt.bytes(), now)
		select {
		case p.c.inbox <- arrived{pkt, p.peer.addr}:
		case <-p.c.done:
			p.c.put(pkt)
			return carrier.ErrClosed
		}
	}
}

// write sends what the peer gives the path, several packets at a time.
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
		size := 0
		for _, pkt := range batch {
			msgs = append(msgs, pkt.bytes())
			size += pkt.n
		}
		err := p.send(msgs)
		p.waiting.Add(-int64(size))
		if err != nil {
			p.c.giveBack(p, batch)
			return err
		}
		p.lastSent.Store(time.Now().UnixNano())
		p.bytesOut.Add(int64(size))
		for _, pkt := range batch {
			p.c.put(pkt)
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
