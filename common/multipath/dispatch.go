package multipath

import "time"

const (
	// never is a time that does not come.
	never = time.Duration(1<<63 - 1)

	// ackDelay is how long an acknowledgement waits for others to go with it:
	// half of a deployed peer's interval (spec section 7.3).
	ackDelay = 5 * time.Millisecond

	// ackMost is how many may be owed before they leave at once.
	ackMost = 1 << 10

	// burst is how much time's worth of data may leave at once; burstMin is the
	// least for which that holds. A path that its pace has stopped goes on when
	// it may send for quantum: with a timer and a system call for each packet
	// the fastest paths took three times the processor time (measured).
	burst    = 4 * time.Millisecond
	burstMin = 3 * maxPacket
	quantum  = burst / 2
)

// wireSize is what a segment counts for.
func wireSize(seg *outSegment) int { return headerLen + seg.pkt.n }

// stepLocked does everything that is due: time-outs, segments that may leave,
// acknowledgements. It is called after every change.
func (c *Conn) stepLocked(now time.Duration) {
	for _, p := range c.paths {
		p.fl.fade(now)
	}
	if now >= c.nextDue {
		c.timeoutsLocked(now)
	}
	c.dispatchLocked(now)
	if len(c.rcv.acks) > 0 && (now >= c.ackDue || len(c.rcv.acks) >= ackMost) {
		c.acknowledgeLocked()
	}
	if c.blocked && !c.fullLocked() {
		c.blocked = false
		c.writable.Broadcast()
	}
	c.armLocked(now)
}

// dispatchLocked sends segments for as long as the Scheduler finds a path.
func (c *Conn) dispatchLocked(now time.Duration) {
	c.paceDue = never
	if len(c.paths) == 0 {
		return
	}
	for _, p := range c.paths {
		p.open = p.fl.bytes == 0 || p.paceAt+quantum <= now
	}
	for {
		sn, ok := c.snd.next()
		if !ok {
			c.idleLocked()
			break
		}
		p := c.pickLocked(wireSize(c.snd.at(sn)), now)
		if p == nil {
			break
		}
		c.transmitLocked(p, sn, now)
	}
}

// idleLocked notes that every path with room could carry more than there is.
func (c *Conn) idleLocked() {
	for _, p := range c.paths {
		if p.fl.bytes < p.windowLocked() {
			p.fl.idle()
		}
	}
}

// pickLocked returns the path for a segment of the given size, or nil. If it is
// only the pace that keeps the segment back, paceDue says until when.
func (c *Conn) pickLocked(size int, now time.Duration) *Path {
	if len(c.paths) == 1 {
		p := c.paths[0]
		if p.fl.bytes+size > p.windowLocked() || p.waiting >= pathQueue {
			return nil
		}
		if due := p.pacedUntil(now); due > now {
			c.paceDue = due
			return nil
		}
		return p
	}
	c.infos = c.infos[:0]
	for _, p := range c.paths {
		c.infos = append(c.infos, p.briefLocked(now))
	}
	if i := c.sched.Pick(size, c.infos); i >= 0 {
		return c.paths[i]
	}
	for _, p := range c.paths {
		if due := p.pacedUntil(now); due > now {
			c.paceDue = min(c.paceDue, due)
		}
	}
	return nil
}

// pacedUntil is when its pace lets the path go on, now or earlier if it does.
func (p *Path) pacedUntil(now time.Duration) time.Duration {
	if p.open && p.paceAt <= now {
		return now
	}
	return p.paceAt + quantum
}

// windowLocked is how many bytes may be under way on p.
func (p *Path) windowLocked() int {
	if p.life.suspect() {
		return leastWindow
	}
	return p.ctl.window()
}

// transmitLocked puts a segment on its way on p.
func (c *Conn) transmitLocked(p *Path, sn uint32, now time.Duration) {
	seg := c.snd.sent(sn)
	if seg.sends > 1 {
		c.stats.Resent++
	} else {
		c.stats.Sent++
	}
	c.tx++
	seg.path, seg.tx, seg.at, seg.ts = p, c.tx, now, c.stamp(now)
	size := wireSize(seg)
	p.fl.send(seg, sn, size, now)
	p.paceLocked(size, now)
	h := c.headerLocked(cmdPush)
	h.sn, h.ts = sn, seg.ts
	pkt := newPacket()
	pkt.n = len(appendSegment(pkt.data[:0], h, seg.pkt.bytes()))
	p.out.push(pkt)
	p.waiting += pkt.n
	p.sentAt = now
	p.wakeUp()
}

// paceLocked sets when the next segment may leave.
func (p *Path) paceLocked(size int, now time.Duration) {
	rate := p.ctl.pace()
	ahead := max(burst, time.Duration(burstMin/rate*float64(time.Second)))
	p.paceAt = max(p.paceAt, now-ahead) + time.Duration(float64(size)/rate*float64(time.Second))
}

// headerLocked is a segment's header with what holds for all.
func (c *Conn) headerLocked(cmd byte) header {
	return header{conv: c.conv, cmd: cmd, wnd: c.rcv.window(), una: c.rcv.next}
}

// urgentMost is how many packets may wait that are to leave before all others:
// the acknowledgements of a second on a fast path. A peer that asks without end
// and reads nothing gets no more of our memory.
const urgentMost = 256

// hurryLocked sends a packet past all that waits. If there are too many of
// those, the oldest goes: what it tells, a later one tells better.
func (p *Path) hurryLocked(pkt *packet) {
	if p.urgent.count >= urgentMost {
		p.urgent.pop().free()
	}
	p.urgent.push(pkt)
}

// urgeLocked sends a segment without data past all that waits.
func (c *Conn) urgeLocked(p *Path, cmd byte) {
	if !c.started {
		return
	}
	pkt := newPacket()
	pkt.n = len(appendSegment(pkt.data[:0], c.headerLocked(cmd), nil))
	p.hurryLocked(pkt)
	p.sentAt = c.now()
	p.wakeUp()
}

// acknowledgeLocked sends the acknowledgements that are owed.
func (c *Conn) acknowledgeLocked() {
	p := c.ackPathLocked()
	if p == nil {
		return
	}
	var pkt *packet
	for _, a := range c.rcv.owed() {
		if pkt != nil && pkt.n+headerLen > p.fit {
			p.hurryLocked(pkt)
			pkt = nil
		}
		if pkt == nil {
			pkt = newPacket()
		}
		h := c.headerLocked(cmdAck)
		h.sn, h.ts = a.sn, a.ts
		pkt.n = len(appendSegment(pkt.data[:pkt.n], h, nil))
	}
	p.hurryLocked(pkt)
	c.rcv.acks = c.rcv.acks[:0]
	c.ackDue = never
	p.sentAt = c.now()
	p.wakeUp()
}

// ackPathLocked is the path for acknowledgements: of those that have been heard
// lately, the one with the shortest round trip.
func (c *Conn) ackPathLocked() *Path {
	var best *Path
	for _, p := range c.paths {
		if best == nil || p.prompterLocked(best) {
			best = p
		}
	}
	return best
}

// alike is a difference of time that decides nothing.
const alike = 100 * time.Millisecond

func (p *Path) prompterLocked(q *Path) bool {
	switch {
	case p.life.doubt != q.life.doubt:
		return q.life.doubt
	case (p.heardAt - q.heardAt).Abs() > alike:
		return p.heardAt > q.heardAt
	case p.fl.srtt != 0 && q.fl.srtt != 0:
		return p.fl.srtt < q.fl.srtt
	}
	return p.heardAt > q.heardAt
}

// armLocked sets the timer for what comes next.
func (c *Conn) armLocked(now time.Duration) {
	c.nextDue = never
	for _, p := range c.paths {
		c.nextDue = min(c.nextDue, p.dueLocked())
	}
	due := min(c.nextDue, c.paceDue)
	if len(c.rcv.acks) > 0 && len(c.paths) > 0 {
		due = min(due, c.ackDue)
	}
	if due < c.armed || c.armed <= now {
		c.armed = due
		if due != never {
			c.timer.Reset(max(due-now, 0))
		}
	}
}

// tick is what the timer does.
func (c *Conn) tick() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.armed = never
	c.stepLocked(c.now())
}
