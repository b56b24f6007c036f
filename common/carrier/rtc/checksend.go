package rtc

import (
	"net/netip"
	"time"

	"github.com/pion/stun/v4"
)

// offer notes a check that the agent wants to send. The first of a pair leaves
// at once.
func (r *requests) offer(c check, id transactionID, to netip.AddrPort) {
	to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	r.mu.Lock()
	p := r.pairs[to]
	if p == nil {
		p = &checkedPair{pairPace: pairPace{ticks: r.shaper.ticks}}
		r.pairs[to] = p
	}
	p.check = c
	now := time.Now()
	if r.closed || !p.offer(now, id) {
		r.armLocked(p, to, now)
		r.mu.Unlock()
		return
	}
	raw := r.leaveLocked(p, to, now)
	if r.early[to] {
		delete(r.early, to)
		r.hearLocked(p, to, false)
	}
	r.mu.Unlock()
	r.send(raw, to)
}

// leaveLocked returns the message of a check that leaves now.
func (r *requests) leaveLocked(p *checkedPair, to netip.AddrPort, now time.Time) []byte {
	shape := r.shaper.shape
	agents, stands := p.leave(now, shape.pace)
	id := shape.newID()
	raw, err := shape.build(p.check, id, r.shaper.password(), to.Addr().Is6())
	if err != nil {
		return nil // a username too long for STUN: no answer could be right
	}
	r.noteLocked(id, sentRequest{agents: agents, ours: !stands, to: to, at: now})
	r.armLocked(p, to, now)
	return raw
}

// armLocked sets the timer for the pair's next check.
func (r *requests) armLocked(p *checkedPair, to netip.AddrPort, now time.Time) {
	if r.closed {
		return
	}
	wait := p.due.Sub(now)
	if p.timer == nil {
		p.timer = time.AfterFunc(wait, func() { r.next(p, to) })
		return
	}
	p.timer.Reset(wait)
}

// next sends the pair's next check, unless the agent has dropped the pair.
func (r *requests) next(p *checkedPair, to netip.AddrPort) {
	r.mu.Lock()
	now := time.Now()
	if r.closed || now.Before(p.due) || p.idle(now) {
		r.mu.Unlock()
		return
	}
	raw := r.leaveLocked(p, to, now)
	r.mu.Unlock()
	r.send(raw, to)
}

// send sends a request, which may be lost as on the network.
func (r *requests) send(raw []byte, to netip.AddrPort) {
	if len(raw) > 0 {
		_, _ = r.below.WriteToAddrPort(raw, to)
	}
}

// noteLocked remembers a request for when its answer comes.
func (r *requests) noteLocked(id transactionID, s sentRequest) {
	if len(r.sent) >= manySent {
		for k, v := range r.sent {
			if s.at.Sub(v.at) > answerTime {
				delete(r.sent, k)
			}
		}
	}
	r.sent[id] = s
}

// hearAsked notes a check of the other end's, if it is signed.
func (r *requests) hearAsked(m *stun.Message, from netip.AddrPort) {
	from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.pairs[from]; p != nil && m.Contains(stun.AttrMessageIntegrity) {
		r.hearLocked(p, from, false)
	}
}

func (r *requests) hearLocked(p *checkedPair, to netip.AddrPort, answer bool) {
	before := p.due
	p.hear(answer, r.shaper.shape.pace)
	if p.timer != nil && p.due != before {
		r.armLocked(p, to, time.Now())
	}
}

// answered returns the request with that id, if from is where it was sent.
func (r *requests) answered(id transactionID, from netip.AddrPort) (sentRequest, bool) {
	from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
	r.mu.Lock()
	defer r.mu.Unlock()
	s, ok := r.sent[id]
	return s, ok && s.to == from
}

// settle notes that a request has got its answer, m.
func (r *requests) settle(m *stun.Message, s sentRequest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, waits := r.sent[m.TransactionID]; !waits {
		return // a second answer
	}
	delete(r.sent, m.TransactionID)
	if s.server {
		if q := r.asked[s.agents]; q != nil {
			q.timer.Stop()
			delete(r.asked, s.agents)
		}
		return
	}
	if p := r.pairs[s.to]; p != nil && m.Type == stun.BindingSuccess {
		r.shaper.trip.Store(int64(p.answers(time.Since(s.at))))
		if !s.ours { // of others the agent learns nothing
			r.worked.Store(true)
		}
		r.hearLocked(p, s.to, true)
	}
}

// askServer sends a request to a STUN server and repeats it as a browser does.
// The agent's own repetitions go nowhere.
func (r *requests) askServer(agents transactionID, to netip.AddrPort) {
	shape := r.shaper.shape
	to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	r.mu.Lock()
	if r.closed || r.asked[agents] != nil {
		r.mu.Unlock()
		return
	}
	q := &serverRequest{to: to, id: shape.newID()}
	q.raw = buildServerRequest(q.id)
	q.timer = time.AfterFunc(shape.servers[0], func() { r.repeat(q) })
	r.asked[agents] = q
	r.noteLocked(q.id, sentRequest{agents: agents, server: true, to: to, at: time.Now()})
	r.mu.Unlock()
	r.send(q.raw, to)
}

// repeat sends a request to a STUN server again.
func (r *requests) repeat(q *serverRequest) {
	r.mu.Lock()
	_, waits := r.sent[q.id]
	if r.closed || !waits {
		r.mu.Unlock()
		return
	}
	if q.repeated++; q.repeated < len(r.shaper.shape.servers) {
		q.timer.Reset(r.shaper.shape.servers[q.repeated])
	}
	r.mu.Unlock()
	r.send(q.raw, q.to)
}
