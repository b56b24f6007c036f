package multipath

import "time"

// input takes in a packet that came on p, and reports whether it keeps pkt.
func (c *Conn) input(p *Path, pkt *packet) (kept bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	p.bytesIn += int64(pkt.n)
	p.heardAt = now
	rest := pkt.bytes()
	for {
		h, data, more, ok := cutSegment(rest)
		if !ok || !c.oursLocked(h) {
			break
		}
		rest = more
		c.peerLocked(h, now)
		switch h.cmd {
		case cmdPush:
			if c.pushLocked(p, pkt, h, data, kept) {
				kept = true
			}
		case cmdAck:
			c.ackLocked(h, now)
		case cmdAsk:
			c.urgeLocked(p, cmdTell)
		case cmdTell:
			c.answeredLocked(p)
		}
	}
	c.judgeLocked(now)
	if c.rcv.ready.count > 0 {
		c.readable.Broadcast()
	}
	if len(c.rcv.acks) > 0 && c.ackDue == never {
		c.ackDue = now + ackDelay
	}
	c.stepLocked(now)
	return kept
}

// oursLocked reports whether a segment belongs to this conversation, which for
// the accepting end begins with the first data.
func (c *Conn) oursLocked(h header) bool {
	if !c.started && h.cmd == cmdPush {
		c.conv = h.conv
		c.startLocked()
	}
	return c.started && h.conv == c.conv
}

// peerLocked takes in what every segment says about the other end: all before
// una has arrived, and how many may follow.
func (c *Conn) peerLocked(h header, now time.Duration) {
	if h.una-c.snd.una > c.snd.nxt-c.snd.una {
		return // of the past, or nothing that we have sent
	}
	c.snd.peerWindow = uint32(h.wnd)
	c.filledLocked(h.una, now)
	for ; c.snd.una != h.una; c.snd.una++ {
		seg := c.snd.at(c.snd.una)
		if seg.state != arrived {
			c.arrivedLocked(seg, false, h.ts, now)
		}
		*seg = outSegment{}
	}
	if c.snd.empty() {
		c.snd.shrink()
		c.drained.Broadcast()
	}
}

// filledLocked measures the round trip of a segment that was missing while
// others had arrived: una moves on when it comes. Acknowledgements by themselves
// tell of those that came early, and so of the faster paths only.
func (c *Conn) filledLocked(una uint32, now time.Duration) {
	first := c.snd.una
	if una-first < 2 {
		return
	}
	seg, next := c.snd.at(first), c.snd.at(first+1)
	if seg.state == flying && seg.sends == 1 && next.state == arrived {
		seg.path.fl.rtt = now - seg.at
		seg.path.fl.measure(now - seg.at)
	}
}

// ackLocked takes in the acknowledgement of one segment.
func (c *Conn) ackLocked(h header, now time.Duration) {
	if c.snd.holds(h.sn) {
		if seg := c.snd.at(h.sn); seg.state != arrived {
			c.arrivedLocked(seg, true, h.ts, now)
		}
		return
	}
	// una has said so already; the time stamp still tells which transmission it
	// was, and the round trip of the path that bore it.
	if x := c.latest; x.path != nil && x.sn == h.sn && x.ts == h.ts && !x.path.gone {
		x.path.fl.hit = true
		x.path.fl.newest = max(x.path.fl.newest, x.at)
		x.path.fl.rtt = now - x.at
		x.path.fl.measure(now - x.at)
		c.latest.path = nil
	}
}

// arrivedLocked notes that a segment has arrived. explicit says that ts is that
// of the transmission that did.
func (c *Conn) arrivedLocked(seg *outSegment, explicit bool, ts uint32, now time.Duration) {
	p, size := seg.path, wireSize(seg)
	this := explicit && ts == seg.ts // the last transmission, and not one before
	if seg.state == flying {
		p.fl.bytes -= size
	}
	switch {
	case p.gone:
	case this || !explicit && seg.sends == 1:
		rtt := time.Duration(0)
		if this {
			rtt = now - seg.at
		}
		p.fl.deliver(seg, size, rtt, now)
		p.life.answered()
		if seg.state == lost {
			p.fl.late()
			c.stats.Spurious++
		}
	case explicit:
		c.stats.Spurious++
		p.fl.late()
	case p.fl.minRTT > 0 && now-seg.at >= p.fl.minRTT:
		// It may have been this transmission. On a path of which no round trip
		// is known it was most probably one before, on the path that is lost.
		p.fl.cover(seg, size, now)
		p.life.answered()
	}
	if !explicit {
		c.latest = latest{sn: c.snd.una, ts: seg.ts, at: seg.at, path: p}
	}
	c.snd.arrive(seg)
}

// latest is the last segment that una has spoken for: in a stream without
// gaps, the only one whose acknowledgement comes by itself.
type latest struct {
	sn, ts uint32
	at     time.Duration
	path   *Path
}

// pushLocked takes in data. The first segment that is kept takes pkt with it,
// further ones get buffers of their own.
func (c *Conn) pushLocked(p *Path, pkt *packet, h header, data []byte, taken bool) (kept bool) {
	c.stats.Received++
	p.life.lively = true
	buf := pkt
	if taken {
		buf = newPacket()
		data = buf.data[:copy(buf.data[:], data)]
	}
	fresh, kept := c.rcv.take(h, buf, data)
	if !fresh {
		c.stats.Duplicate++
	}
	if taken && !kept {
		buf.free()
	}
	return kept
}

// judgeLocked passes what the packet has told to the controllers, with what
// turns out to be lost.
func (c *Conn) judgeLocked(now time.Duration) {
	for _, p := range c.paths {
		if !p.fl.hit {
			continue
		}
		p.fl.now.lost = c.findLostLocked(p)
		p.ctl.acked(p.fl.finish(), now)
	}
}

// findLostLocked marks what has been overtaken for too long, and returns how
// many bytes that is.
func (c *Conn) findLostLocked(p *Path) (bytes int) {
	patience := p.fl.patience(p.lossy)
	for p.fl.order.count > 0 {
		x := *p.fl.order.front()
		if c.snd.holds(x.sn) {
			if seg := c.snd.at(x.sn); seg.state == flying && seg.tx == x.tx {
				if p.fl.newest-seg.at <= patience {
					break
				}
				size := wireSize(seg)
				p.fl.bytes -= size
				bytes += size
				c.snd.lose(x.sn)
			}
		}
		p.fl.order.pop()
	}
	return bytes
}
