package ws

import (
	"net"
	"sync"
	"time"
)

const (
	// writeQueue bounds what waits while a write to the connection is under
	// way. As much can be with the kernel's socket at that time, which holds far
	// more by itself.
	writeQueue = 64 << 10

	// readAhead is what one read takes from a connection on which much comes.
	readAhead = 32 << 10
)

// queues and reads lend wires their memory, as *[]byte: of ten thousand wires
// most are silent.
var (
	queues = sync.Pool{New: func() any { b := make([]byte, 0, writeQueue); return &b }}
	reads  = sync.Pool{New: func() any { b := make([]byte, readAhead); return &b }}
)

// wire is the TCP connection under a WebSocket, made cheap for many small
// messages. Writes that come while one is under way leave together as the next,
// so that a wire in rest writes at once; errors show with a later write. Reads
// take more than they were asked for where it is there.
type wire struct {
	net.Conn

	mu      sync.Mutex
	changed sync.Cond // on mu: the queue has been taken, or writing or the wire has ended
	queue   *[]byte   // waits; nil when empty
	leaving int       // bytes of the write under way
	writing bool      // a goroutine writes what is in queue; if the wire has been closed, it closes the connection
	closed  bool
	limit   *time.Timer // of the write that is under way when the wire is closed
	err     error       // of the first write that failed

	bbr bbr // used by writeLoop only

	// used by Read only
	ahead *[]byte // lent while something of it is unread
	rest  []byte  // of ahead
	much  bool    // the last read filled what it was given
}

func newWire(c net.Conn) *wire {
	w := &wire{Conn: c, bbr: newBBR(c, time.Now())}
	w.changed.L = &w.mu
	return w
}

// Write implements net.Conn. It waits while the queue is full.
func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for !w.endedLocked() && w.queue != nil && len(*w.queue)+len(p) > writeQueue {
		w.changed.Wait()
	}
	switch {
	case w.err != nil:
		return 0, w.err
	case w.closed:
		return 0, net.ErrClosed
	}
	if w.queue == nil {
		w.queue = queues.Get().(*[]byte)
	}
	*w.queue = append(*w.queue, p...)
	if !w.writing {
		w.writing = true
		go w.writeLoop()
	}
	return len(p), nil
}

func (w *wire) endedLocked() bool { return w.closed || w.err != nil }

// writeLoop writes until the queue is empty. One runs at a time; finish waits
// for it.
func (w *wire) writeLoop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.queue != nil && w.err == nil {
		out := w.queue
		w.queue, w.leaving = nil, len(*out)
		w.changed.Broadcast()
		w.mu.Unlock()
		w.bbr.renew(time.Now())
		_, err := w.Conn.Write(*out)
		*out = (*out)[:0]
		if cap(*out) <= 2*writeQueue { // not what one long message has made of it
			queues.Put(out)
		}
		w.mu.Lock()
		w.leaving, w.err = 0, err
	}
	if w.closed {
		w.limit.Stop()
		w.mu.Unlock()
		w.Conn.Close()
		w.mu.Lock()
	}
	w.writing = false
	w.changed.Broadcast()
}

// waiting is how many bytes have been written and not reached the connection.
func (w *wire) waiting() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.leaving
	if w.queue != nil {
		n += len(*w.queue)
	}
	return n
}

// Read implements net.Conn.
func (w *wire) Read(p []byte) (int, error) {
	if len(w.rest) == 0 {
		if !w.much || len(p) >= readAhead {
			n, err := w.Conn.Read(p)
			w.much = n == len(p)
			return n, err
		}
		w.ahead = reads.Get().(*[]byte)
		n, err := w.Conn.Read(*w.ahead)
		w.rest, w.much = (*w.ahead)[:n], n == len(*w.ahead)
		if n == 0 {
			w.giveBack()
			return 0, err
		} // an error that came with bytes comes again
	}
	n := copy(p, w.rest)
	if w.rest = w.rest[n:]; len(w.rest) == 0 {
		w.giveBack()
	}
	return n, nil
}

func (w *wire) giveBack() {
	reads.Put(w.ahead)
	w.ahead, w.rest = nil, nil
}

// SetDeadline implements net.Conn. Once the wire is closed it changes nothing.
func (w *wire) SetDeadline(t time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return net.ErrClosed
	}
	return w.Conn.SetDeadline(t)
}

// Close implements net.Conn. It does not wait, since the library calls it with
// a mutex held for which others wait: what has been written is given until the
// write deadline, at most closeLimit, to leave, and writeLoop closes the
// connection then.
func (w *wire) Close() error {
	w.mu.Lock()
	writing := w.writing
	if writing && !w.closed {
		w.limit = time.AfterFunc(closeLimit, func() { w.Conn.SetWriteDeadline(time.Unix(1, 0)) })
	}
	w.closed = true
	w.changed.Broadcast()
	w.mu.Unlock()
	if !writing {
		return w.Conn.Close()
	}
	return w.Conn.SetReadDeadline(time.Unix(1, 0)) // the library waits for its reader
}

// finish closes the wire and waits until everything has left or cannot.
func (w *wire) finish() {
	w.Close()
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.writing {
		w.changed.Wait()
	}
}
