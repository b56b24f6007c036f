package simnet

import (
	"net"
	"os"
	"syscall"
	"time"
)

// tcpSender is the state for sending, under the conn's mu.
type tcpSender struct {
	seq      uint64     // of the next new segment
	unsent   []*segment // written, never sent
	again    []*segment // lost, to be sent again
	finished bool       // the last segment has been made

	flying      map[uint64]*segment // sent, neither acknowledged nor known as lost
	low         uint64              // all before it are acknowledged
	flyingBytes int
	buffered    int // bytes of data not acknowledged

	window    int // of congestion, in bytes
	threshold int // of slow start
	lastCut   time.Time
	rtt, best time.Duration // smoothed, least; 0: unknown

	room    int    // what the receiver takes
	heardID uint64 // of the latest acknowledgement
}

// Write implements net.Conn.
func (c *tcpConn) Write(b []byte) (int, error) {
	written := 0
	for written < len(b) {
		c.mu.Lock()
		if err := c.waitToWriteLocked(); err != nil {
			c.mu.Unlock()
			return written, c.opError("write", err)
		}
		written += c.appendLocked(b[written:])
		c.mu.Unlock()
		c.pump()
	}
	return written, nil
}

func (c *tcpConn) sendBuffer() int { return max(leastSendBuffer, 2*c.window) }

func (c *tcpConn) waitToWriteLocked() error {
	for {
		switch {
		case c.closed:
			return net.ErrClosed
		case c.err != nil:
			return c.err
		case c.finished:
			return syscall.EPIPE
		case c.write.passed():
			return os.ErrDeadlineExceeded
		case c.buffered < c.sendBuffer():
			return nil
		}
		c.changed.Wait()
	}
}

// appendLocked makes segments of as much of b as the buffer takes.
func (c *tcpConn) appendLocked(b []byte) int {
	b = b[:min(len(b), c.sendBuffer()-c.buffered)]
	for rest := b; len(rest) > 0; {
		var last *segment
		if n := len(c.unsent); n > 0 && len(c.unsent[n-1].data) < maxSegment {
			last = c.unsent[n-1]
		} else {
			last = c.newSegmentLocked()
		}
		k := min(len(rest), maxSegment-len(last.data))
		last.data = append(last.data, rest[:k]...)
		rest = rest[k:]
	}
	c.buffered += len(b)
	return len(b)
}

func (c *tcpConn) newSegmentLocked() *segment {
	s := &segment{seq: c.seq}
	c.seq++
	c.unsent = append(c.unsent, s)
	return s
}

// finishLocked ends the stream behind what was written.
func (c *tcpConn) finishLocked() {
	if !c.finished && c.err == nil {
		c.finished = true
		c.newSegmentLocked().fin = true
	}
}

// dropLocked forgets everything that was to be sent.
func (c *tcpConn) dropLocked() {
	c.unsent, c.again, c.buffered, c.finished = nil, nil, 0, true
}

// pump sends what the windows allow.
func (c *tcpConn) pump() {
	for {
		c.mu.Lock()
		s := c.nextLocked()
		if s == nil {
			c.mu.Unlock()
			return
		}
		s.sent = time.Now()
		s.tries++
		c.flying[s.seq] = s
		c.flyingBytes += len(s.data)
		c.mu.Unlock()
		p := &parcel{lines: c.lines, size: s.size()}
		p.arrived = func() { c.peer.receive(s) }
		p.lost = func() { c.lost(s) }
		p.send()
	}
}

// nextLocked takes the segment that may leave now, if there is one.
func (c *tcpConn) nextLocked() *segment {
	queue, limit := &c.again, c.window
	if len(c.again) == 0 {
		queue, limit = &c.unsent, min(c.window, c.room)
	}
	if len(*queue) == 0 {
		return nil
	}
	s := (*queue)[0]
	alone := c.flyingBytes == 0 && (queue == &c.again || c.room >= len(s.data))
	if !alone && c.flyingBytes+len(s.data) > limit {
		return nil
	}
	(*queue)[0] = nil
	*queue = (*queue)[1:]
	return s
}

// lost hears from a line that s will not arrive.
func (c *tcpConn) lost(s *segment) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flying[s.seq] != s {
		return
	}
	delete(c.flying, s.seq)
	c.flyingBytes -= len(s.data)
	if s.tries >= giveUpAfter {
		go c.fail(syscall.ETIMEDOUT)
		return
	}
	now := time.Now()
	wait := c.rtt
	switch {
	case c.rtt == 0 || s.tries > 1:
		wait = timeout(s.tries)
		c.threshold, c.window = max(c.window/2, leastWindow), leastWindow
	case now.Sub(c.lastCut) > c.rtt:
		c.window = max(c.window*7/10, leastWindow) // CUBIC's share (RFC 9438)
		c.threshold, c.lastCut = c.window, now
	}
	time.AfterFunc(wait, func() {
		c.mu.Lock()
		if c.err == nil {
			c.again = append(c.again, s)
		}
		c.mu.Unlock()
		c.pump()
	})
}

// acknowledged takes an acknowledgement from the line.
func (c *tcpConn) acknowledged(a acknowledgement) {
	c.mu.Lock()
	if a.id > c.heardID {
		c.heardID, c.room = a.id, a.room
	}
	for ; c.low < a.below; c.low++ {
		c.settleLocked(c.low)
	}
	if !a.windowing {
		c.settleLocked(a.seq)
	}
	c.changed.Broadcast()
	c.mu.Unlock()
	c.pump()
}

// settleLocked counts a segment as arrived and lets the window grow.
func (c *tcpConn) settleLocked(seq uint64) {
	s := c.flying[seq]
	if s == nil {
		return
	}
	delete(c.flying, seq)
	c.flyingBytes -= len(s.data)
	if c.err == nil {
		c.buffered -= len(s.data)
	}
	if s.tries == 1 {
		c.measureLocked(time.Since(s.sent))
	}
	if c.window < c.threshold {
		c.window += len(s.data)
	} else if c.window > 0 {
		c.window += max(maxSegment*len(s.data)/c.window, 1)
	}
	c.window = min(c.window, receiveBuffer)
}

// measureLocked takes one round trip. Slow start ends when the queue begins to
// stand (HyStart, RFC 9406, reduced to its idea).
func (c *tcpConn) measureLocked(d time.Duration) {
	if c.rtt == 0 {
		c.rtt, c.best = max(d, 1), max(d, 1)
	}
	c.rtt += (d - c.rtt) / 8
	c.best = min(c.best, d)
	if c.window < c.threshold && d > c.best+max(c.best/8, 4*time.Millisecond) {
		c.threshold = c.window
	}
}
