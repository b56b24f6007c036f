package snowclient

import (
	"errors"
	"time"
)

// How a bad path is told from a quiet one.
const (
	// checkInterval is how often the paths are looked at: often enough that a
	// dead volunteer's replacement does not wait for it.
	checkInterval = 100 * time.Millisecond

	// suspectAfter is how long data may go unanswered before a replacement is
	// sought. KCP acknowledges within a round trip and 10 ms; 3 s is beyond
	// any round trip that a user would put up with.
	suspectAfter = 3 * time.Second

	// staleAfter is the silence after which a path is given up, as deployed
	// clients do (spec section 7.5). The bridge's keepalive comes every 10 s.
	staleAfter = 20 * time.Second

	// staleShared is the same for a path whose siblings have heard a little:
	// the bridge may simply have sent it nothing of the little it had to say.
	staleShared = 3 * staleAfter

	// ackDelay is longer than it takes us to acknowledge what we heard: what is
	// sent later than this after the last hearing is data, not an
	// acknowledgement, and asks for an answer.
	ackDelay = 500 * time.Millisecond

	// siblingShare is how much the sibling paths must have heard, per path, to
	// show that one path was left out: some two dozen full packets.
	siblingShare = 32 << 10
)

// When the bridge is given up.
const (
	// Proxies were found, and through each of uselessPaths in a row, in at
	// least uselessTime, came not a byte: it is not they, the bridge is gone.
	uselessPaths = 5
	uselessTime  = time.Minute

	// goneAfter is the silence after which the bridge has certainly given the
	// session up: its keepalive times out after 240 s, up to twice that (spec
	// section 7.4).
	goneAfter = 480 * time.Second
)

var (
	errUnreachable = errors.New("no proxy reaches the bridge")
	errSilent      = errors.New("the bridge has been silent for too long")
)

// A member is one path of a pool and what the pool knows of its health. Its
// owner is the pool's goroutine.
type member struct {
	path  poolPath
	added time.Time

	heard     bool      // anything at all has come
	lastHeard time.Time // or added
	bytesIn   int64     // at the last look
	mark      int64     // pool's total when this path was last heard

	unanswered time.Time // since when sent data goes unanswered; zero if none does
	leftOut    time.Time // since when the siblings' share is large; zero if it is not
	suspect    bool      // looks bad; until it is heard again
	wobbled    bool      // has been suspect at some time
}

func newMember(path poolPath, now time.Time, total int64) *member {
	return &member{path: path, added: now, lastHeard: now, mark: total}
}

// proved tells whether the path is a success.
func (m *member) proved(now time.Time) bool {
	return m.heard && now.Sub(m.added) >= provenAfter || m.bytesIn >= provenBytes
}

// check looks at every path: who is suspect, who is dead, who is too many.
func (p *pool) check(now time.Time) {
	if p.dialCtx == nil {
		// Nobody is waiting for anything, so silence means nothing.
		for _, m := range p.members {
			m.lastHeard, m.unanswered, m.leftOut = now, time.Time{}, time.Time{}
		}
		return
	}
	for _, m := range p.members {
		p.listen(m, now)
	}
	for _, m := range append([]*member(nil), p.members...) {
		if p.judge(m, now) {
			p.drop(m, ErrStale)
		}
	}
	p.trim()
	switch silent := now.Sub(p.heardAt); {
	case p.useless >= uselessPaths && silent >= uselessTime:
		p.giveUp(errUnreachable)
	case p.everUp && silent >= goneAfter:
		p.giveUp(errSilent)
	}
}

// listen brings what we know of m up to date.
func (p *pool) listen(m *member, now time.Time) {
	info := m.path.Info()
	if delta := info.BytesIn - m.bytesIn; delta > 0 {
		p.totalIn += delta
		m.bytesIn = info.BytesIn
		m.heard = true
		m.lastHeard, p.heardAt, p.useless = now, now, 0
		m.mark = p.totalIn
		m.unanswered, m.leftOut = time.Time{}, time.Time{}
		m.suspect = false
		p.backoff.heard()
	} else if m.unanswered.IsZero() && info.LastSent.Sub(m.lastHeard) > ackDelay {
		m.unanswered = info.LastSent
	}
	if m.proved(now) {
		p.backoff.proved()
	}
	m.suspect = m.suspect || info.Doubt || info.Suspect
}

// judge decides whether m is suspect, and reports whether it is dead.
func (p *pool) judge(m *member, now time.Time) (dead bool) {
	silent := now.Sub(m.lastHeard)
	limit := staleAfter
	switch siblings := p.totalIn - m.mark; { // what the others heard since m last did
	case siblings == 0:
		// Nobody has heard anything: m answers for itself.
	case siblings < siblingShare*int64(len(p.members)):
		limit = staleShared // too little to tell being left out from chance
	case m.leftOut.IsZero():
		m.leftOut = now
		fallthrough
	default:
		// However long it was quiet before, only now is it strange.
		silent = now.Sub(m.leftOut)
	}
	if limit == staleAfter && silent >= suspectAfter && !m.unanswered.IsZero() && now.Sub(m.unanswered) >= suspectAfter {
		m.suspect = true
	}
	if m.suspect && !m.wobbled {
		m.wobbled = true
		p.log.Debug("path looks bad, seeking a replacement", "silent", silent)
	}
	return silent >= limit
}

// trim retires paths that better ones have replaced.
func (p *pool) trim() {
	for {
		good := 0
		var worst *member
		for _, m := range p.members {
			if m.heard && !m.suspect {
				good++
			}
			if worst == nil || m.rank() < worst.rank() {
				worst = m
			}
		}
		switch {
		case len(p.members) <= p.max || good < p.max:
			return
		case worst.suspect || !worst.heard:
			p.drop(worst, ErrStale)
		default:
			p.drop(worst, errReplaced)
		}
	}
}

// rank orders members by how gladly we keep them, worst first.
func (m *member) rank() int {
	switch {
	case m.suspect:
		return 0
	case !m.heard:
		return 1
	case m.wobbled:
		return 2
	}
	return 3
}
