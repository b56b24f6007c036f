package multipath

import (
	"math/rand/v2"
	"time"
)

const (
	// suspectStrikes is how many time-outs in a row make a path one that needs
	// replacing. From then on each is twice as long as the last.
	suspectStrikes = 2

	// strikesMax bounds the doubling: a path that was slow for a minute is
	// still asked every few seconds.
	strikesMax = 4

	// quietAfter is how long a path may fall silent in the middle of traffic
	// before it is asked whether it lives; at least one and a half round trips.
	quietAfter = 250 * time.Millisecond

	// idleAfter is the time between questions on a path without traffic, give
	// or take a quarter: rarely enough that a phone may sleep, and often enough
	// that volunteers do not take the path for dead (spec section 8.2: 30 s).
	idleAfter = 10 * time.Second

	// windowAsk is the time between questions for a window that is closed:
	// KCP's first interval (spec section 7.3).
	windowAsk = 500 * time.Millisecond
)

// liveness is what makes a path one in doubt: something it held, or a question
// (a window probe, spec section 7.3), has gone unanswered for too long.
type liveness struct {
	strikes int  // time-outs in a row
	doubt   bool // others take its work

	asked   time.Duration // when the open question was asked; 0: none is open
	lively  bool          // has brought data since the last question
	idleDue time.Duration // when the next question is asked if nothing happens
	askedAt time.Duration // when the last question was asked, open or not
}

// suspect reports that the path needs replacing.
func (l *liveness) suspect() bool { return l.strikes >= suspectStrikes }

// answered notes that something that was sent on the path has been answered.
func (l *liveness) answered() {
	l.strikes, l.doubt, l.asked = 0, false, 0
}

// backoff is how long to wait for the next answer.
func (l *liveness) backoff(d time.Duration) time.Duration {
	return d << min(max(0, l.strikes+1-suspectStrikes), strikesMax)
}

// dueLocked is when the path's next time-out is.
func (p *Path) dueLocked() time.Duration {
	due := never
	limit := p.life.backoff(p.fl.timeout())
	if p.fl.bytes > 0 {
		due = p.fl.progress + limit
	}
	if p.life.asked != 0 {
		due = min(due, p.life.asked+limit)
		return due
	}
	return min(due, p.questionLocked())
}

// questionLocked is when the path is to be asked next.
func (p *Path) questionLocked() time.Duration {
	due := never
	if p.c.asks {
		due = max(p.life.idleDue, p.heardAt+idleAfter/2)
		if p.life.lively {
			due = min(due, p.heardAt+p.quietLocked())
		}
	}
	if p.c.snd.peerWindow == 0 && p.c.snd.unsent > 0 {
		due = min(due, p.life.askedAt+windowAsk)
	}
	return due
}

// quietLocked is the silence after which a lively path is asked.
func (p *Path) quietLocked() time.Duration { return max(quietAfter, p.fl.srtt*3/2) }

// timeoutsLocked deals with paths that did not answer in time, and asks those
// that have been quiet.
func (c *Conn) timeoutsLocked(now time.Duration) {
	for _, p := range c.paths {
		limit := p.life.backoff(p.fl.timeout())
		switch {
		case p.fl.bytes > 0 && now >= p.fl.progress+limit,
			p.life.asked != 0 && now >= p.life.asked+limit:
			c.strikeLocked(p, now)
		case p.life.asked == 0 && now >= p.questionLocked():
			c.askLocked(p, now)
		}
	}
}

// strikeLocked deals with one time-out.
func (c *Conn) strikeLocked(p *Path, now time.Duration) {
	p.life.strikes++
	p.ctl.busy = mark{} // a silence says nothing of the rate
	p.fl.progress = now
	c.askLocked(p, now)
	switch {
	case c.trustedLocked(p):
		p.life.doubt = true
		c.releaseLocked(p)
	case p.lossy && p.life.strikes > 1:
		p.life.doubt = true
		c.releaseLocked(p) // all of it goes again, little by little: see windowLocked
	case p.lossy:
		c.nudgeLocked(p) // the last of a burst may be all that is missing
	case p.life.suspect():
		p.life.doubt = true // what it holds goes to the next path that comes
	}
}

// trustedLocked reports whether a path other than p is not in doubt.
func (c *Conn) trustedLocked(p *Path) bool {
	for _, q := range c.paths {
		if q != p && !q.life.doubt {
			return true
		}
	}
	return false
}

// releaseLocked takes back what a path holds, to be sent again.
func (c *Conn) releaseLocked(p *Path) {
	for p.fl.order.count > 0 {
		x := p.fl.order.pop()
		if c.snd.holds(x.sn) {
			if seg := c.snd.at(x.sn); seg.state == flying && seg.tx == x.tx {
				c.snd.lose(x.sn)
			}
		}
	}
	p.fl.bytes = 0
	for p.out.count > 0 {
		pkt := p.out.pop()
		p.waiting -= pkt.n
		pkt.free()
	}
}

// nudgeLocked sends a path's oldest segment again, whatever its window: the
// answer shows what else is missing.
func (c *Conn) nudgeLocked(p *Path) {
	for p.fl.order.count > 0 {
		x := *p.fl.order.front()
		if c.snd.holds(x.sn) {
			if seg := c.snd.at(x.sn); seg.state == flying && seg.tx == x.tx {
				p.fl.order.pop()
				p.fl.bytes -= wireSize(seg)
				c.snd.lose(x.sn)
				c.transmitLocked(p, x.sn, c.now())
				return
			}
		}
		p.fl.order.pop()
	}
}

// askLocked sends a window probe on p: 24 bytes that every peer answers.
func (c *Conn) askLocked(p *Path, now time.Duration) {
	p.life.asked, p.life.askedAt, p.life.lively = now, now, false
	p.life.idleDue = now + idleAfter*3/4 + rand.N(idleAfter/2)
	c.urgeLocked(p, cmdAsk)
}

// answeredLocked notes an answer to a question. A deployed server sends it on
// whichever path is next, so it counts for the one that was asked longest ago.
func (c *Conn) answeredLocked(on *Path) {
	if on.life.asked != 0 {
		on.life.answered()
		return
	}
	var oldest *Path
	for _, p := range c.paths {
		if p.life.asked != 0 && (oldest == nil || p.life.asked < oldest.life.asked) {
			oldest = p
		}
	}
	if oldest != nil {
		oldest.life.answered()
	}
}
