package dtls13

import (
	"io"
	"net"
	"time"
)

// A writing is what one Write needs, lent by the connection.
type writing struct {
	scratch scratch
	buf     []byte
	packets [][]byte // of a batch, within buf
}

// A batchWriter is a transport that sends several datagrams at once.
type batchWriter interface {
	WriteBatch(packets [][]byte) (int, error)
}

// Write sends p as one record in one datagram.
func (c *Conn) Write(p []byte) (int, error) {
	if len(p) > maxPayload {
		return 0, errRecordSize
	}
	epoch, seq, err := c.number(1)
	if err != nil {
		return 0, err
	}
	w := c.writes.Get().(*writing)
	defer c.writes.Put(w)
	w.buf = epoch.seal(w.buf[:0], &w.scratch, typeData, seq, p)
	if _, err := c.transport.Write(w.buf); err != nil {
		return 0, err
	}
	return len(p), nil
}

// WriteBatch sends each of packets as Write does, in order, with fewer system
// calls if the transport has a method of this name and type itself. It returns
// how many were sent.
func (c *Conn) WriteBatch(packets [][]byte) (int, error) {
	b, ok := c.transport.(batchWriter)
	if !ok {
		for i, p := range packets {
			if _, err := c.Write(p); err != nil {
				return i, err
			}
		}
		return len(packets), nil
	}
	size := 0
	for _, p := range packets {
		if len(p) > maxPayload {
			return 0, errRecordSize
		}
		size += len(p) + maxOverhead
	}
	epoch, seq, err := c.number(uint64(len(packets)))
	if err != nil {
		return 0, err
	}
	w := c.writes.Get().(*writing)
	defer c.writes.Put(w)
	if cap(w.buf) < size {
		w.buf = make([]byte, 0, size)
	}
	w.buf, w.packets = w.buf[:0], w.packets[:0]
	for i, p := range packets {
		start := len(w.buf)
		w.buf = epoch.seal(w.buf, &w.scratch, typeData, seq+uint64(i), p)
		w.packets = append(w.packets, w.buf[start:len(w.buf):len(w.buf)])
	}
	return b.WriteBatch(w.packets)
}

// maxOverhead is the most that any protection adds.
const maxOverhead = 64

// number takes the numbers of n records of application data.
func (c *Conn) number(n uint64) (*writeEpoch, uint64, error) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil, 0, net.ErrClosed
	}
	if err := c.m.err; err != nil {
		c.mu.Unlock()
		return nil, 0, err
	}
	w := c.m.keys.current()
	seq := w.seq
	if seq+n > maxSeq {
		c.mu.Unlock()
		return nil, 0, errSequence
	}
	w.seq += n
	c.mu.Unlock()
	if seq/rekeyAfter != (seq+n)/rekeyAfter {
		c.UpdateKeys(false)
	}
	return w, seq, nil
}

// Read returns the payload of the next record. A payload longer than p is lost,
// and io.ErrShortBuffer returned. After the peer's close_notify it is io.EOF.
// Records that are not genuine are dropped without a word.
func (c *Conn) Read(p []byte) (int, error) {
	c.readMu.Lock()
	defer c.readMu.Unlock()
	if len(c.queue) > 0 {
		body := c.queue[0]
		c.queue = c.queue[1:]
		return deliver(p, body)
	}
	for {
		for len(c.rest) > 0 {
			r, rest, o := c.m.in.next(c.rest)
			c.rest = rest
			if o != recordOpen {
				continue
			}
			if r.typ == typeData && r.epoch > 0 {
				return deliver(p, r.body)
			}
			c.drive(func(m *machine) {
				m.now = time.Now()
				m.take(r)
			})
			if err := c.end(); err != nil {
				return 0, err
			}
		}
		n, err := c.receive()
		if err != nil {
			if end := c.end(); end != nil {
				return 0, end
			}
			return 0, err
		}
		c.rest = c.buf[:n]
	}
}

func deliver(p, body []byte) (int, error) {
	if len(body) > len(p) {
		return 0, io.ErrShortBuffer
	}
	return copy(p, body), nil
}

// end is why nothing will be read any more.
func (c *Conn) end() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.m.closed:
		return io.EOF
	case c.m.err != nil:
		return c.m.err
	case c.closed:
		return net.ErrClosed
	}
	return nil
}
