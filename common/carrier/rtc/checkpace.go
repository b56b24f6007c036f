package rtc

import "time"

// A pace says how long after a pair's last check the next is due. It is pure.
type pace func(sent, answered int, asked bool) time.Duration

// The times between Chromium's checks of one pair, each until the next tick after
// it: 48 ms until the pair is known to work and three checks have left, which
// makes four ticks but for the first; then, until five have been answered, 68
// ticks, and at last 170 (libwebrtc's P2PTransportChannel has 48 ms, 900 ms and
// 2.5 s; the ticks were counted). Those are half a tick less here, since a timer may be late.
const (
	chromiumTicks    = time.Second / 64
	chromiumQuickly  = 48 * time.Millisecond
	chromiumUnstable = 68*chromiumTicks - chromiumTicks/2
	chromiumStable   = 170*chromiumTicks - chromiumTicks/2

	chromiumQuick  = 3 // checks
	chromiumProofs = 5 // answers
)

// chromiumPace does not heed that the other end has asked: its tick is as short
// as can be.
func chromiumPace(sent, answered int, _ bool) time.Duration {
	switch {
	case answered == 0 || sent < chromiumQuick:
		return chromiumQuickly
	case answered < chromiumProofs:
		return chromiumUnstable
	}
	return chromiumStable
}

// Firefox repeats a check that is not answered as it repeats other requests,
// with doubling pauses; asked itself it checks at its next tick. A pair that
// works is checked for consent (RFC 7675), at a random time.
const (
	firefoxTick     = 20 * time.Millisecond // Ta of nICEr
	firefoxRetry    = 100 * time.Millisecond
	firefoxMostly   = 1600 * time.Millisecond
	firefoxConsent  = 4 * time.Second
	firefoxConsents = 6 * time.Second
)

func firefoxPace(sent, answered int, asked bool) time.Duration {
	switch {
	case answered > 0:
		return randomBetween(firefoxConsent, firefoxConsents)
	case asked:
		return firefoxTick
	}
	return min(firefoxRetry<<min(max(sent-1, 0), 10), firefoxMostly)
}

// agentSilence is how long after the ICE agent's last check of a pair the pair
// is still checked: the agent keeps the pair in use alive by a check each two
// seconds, and drops the others.
const agentSilence = 3 * time.Second

// A pairPace is the state of one pair's checks.
type pairPace struct {
	sent, answered int
	asked          bool // the other end has, since the last check
	last           time.Time
	due            time.Time     // of the next check
	waiting        transactionID // the agent's newest check that has not left
	waits          bool
	offered        time.Time // when the agent last wanted to check
	ticks          ticks
	roundTrip      time.Duration
}

// answers notes how long an answer took, and returns the pair's round trip as
// libwebrtc estimates it (Connection::ReceivedPingResponse).
func (p *pairPace) answers(took time.Duration) time.Duration {
	if p.answered == 0 {
		p.roundTrip = took
	} else {
		p.roundTrip = (3*p.roundTrip + took) / 4
	}
	return p.roundTrip
}

// offer notes a check of the agent's. It reports whether it leaves at once.
func (p *pairPace) offer(now time.Time, id transactionID) bool {
	p.waiting, p.waits, p.offered = id, true, now
	return !now.Before(p.due)
}

// leave notes that a check leaves now, and returns the agent's id that it
// stands for; ok is false if it is for none.
func (p *pairPace) leave(now time.Time, s pace) (id transactionID, ok bool) {
	id, ok = p.waiting, p.waits
	p.waits, p.asked = false, false
	p.sent++
	p.last = now
	p.due = p.ticks.next(now.Add(s(p.sent, p.answered, false)))
	return id, ok
}

// hear notes that the other end has sent a check, or an answer to one of ours. A
// pair seen to work for the first time has another pace.
func (p *pairPace) hear(answer bool, s pace) {
	switch {
	case p.sent == 0:
		return
	case answer:
		p.answered++
	case p.asked || p.answered > 0:
		return
	default:
		p.asked = true
	}
	if next := p.ticks.next(p.last.Add(s(p.sent, p.answered, p.asked))); p.answered <= 1 || p.answered == chromiumProofs {
		p.due = next
	}
}

// idle reports whether the agent has dropped the pair.
func (p *pairPace) idle(now time.Time) bool { return now.Sub(p.offered) > agentSilence }
