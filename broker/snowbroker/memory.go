package snowbroker

import (
	"context"
	"sync"
	"time"
)

// Limits and times of a Memory.
const (
	// DefaultPollWait is how long a proxy waits for a client (wire
	// specification, section 4.2).
	DefaultPollWait = 10 * time.Second

	// DefaultClientWait is how long a client waits in all, from its request to
	// the proxy's answer (wire specification, section 2.3).
	DefaultClientWait = 5 * time.Second

	// DefaultMaxPolls bounds the waiting polls. The public network has some
	// 10,000 at once; one costs about 25 KB with its connection, so the bound
	// stands for 1.3 GB.
	DefaultMaxPolls = 50_000

	// DefaultMaxClients bounds the clients that wait for an answer at once.
	// Each is gone after DefaultClientWait, so this allows 4,000 half-finished
	// rendezvous a second, and each holds an offer of some kilobytes.
	DefaultMaxClients = 20_000
)

// Polls that began together, as after a restart of the broker, end one burst
// after another: whoever polls again at once would otherwise keep everyone else
// waiting. 5,000 a second are as many as end of themselves when DefaultMaxPolls
// wait, and keep a herd of 10,000 at most 2 s longer; proxies allow 20 s more.
const (
	expiryBurst = 50
	expiryPause = 10 * time.Millisecond
)

// Memory is the Matcher of one process: a pool, and callers that wait for what
// it decides.
//
// One mutex guards the pool and is never held across a send. Every waiting
// caller has a reply slot with room for one message. Whoever takes a caller out
// of the pool, under the mutex, owes it exactly one message; nobody else may
// send. So a timeout and a match cannot both happen, and a sender never blocks.
//
// One timer serves all waits. The zero value does not work: use NewMemory.
type Memory struct {
	mu     sync.Mutex
	pool   *pool       // guarded by mu
	timer  *time.Timer // guarded by mu; fires tick at armed
	armed  time.Time   // guarded by mu; zero: not armed
	paused time.Time   // guarded by mu; no tick before
	closed bool        // guarded by mu
}

var _ Matcher = (*Memory)(nil)

// clientResult ends the wait of a client.
type clientResult struct {
	answer Answer
	err    error
}

// MemoryOptions changes the waits and bounds of a Memory. A zero field takes
// its default.
type MemoryOptions struct {
	PollWait, ClientWait time.Duration
	MaxPolls, MaxClients int
}

// NewMemory returns an empty Memory. Close it to end its waiting polls.
func NewMemory(o MemoryOptions) *Memory {
	if o.PollWait <= 0 {
		o.PollWait = DefaultPollWait
	}
	if o.ClientWait <= 0 {
		o.ClientWait = DefaultClientWait
	}
	if o.MaxPolls <= 0 {
		o.MaxPolls = DefaultMaxPolls
	}
	if o.MaxClients <= 0 {
		o.MaxClients = DefaultMaxClients
	}
	return &Memory{pool: newPool(o.PollWait, o.ClientWait, o.MaxPolls, o.MaxClients)}
}

// Poll implements Matcher.
func (m *Memory) Poll(ctx context.Context, p Poll) (Offer, error) {
	if err := ctx.Err(); err != nil {
		return Offer{}, err
	}
	x, err := m.addPoll(p)
	if err != nil {
		return Offer{}, err
	}
	return m.await(ctx, x)
}

// addPoll is the first half of Poll: it registers x.
func (m *Memory) addPoll(p Poll) (*proxy, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, ErrNoClient
	}
	x, err := m.pool.poll(time.Now(), p)
	if err != nil {
		return nil, err
	}
	x.reply = make(chan *client, 1)
	m.armLocked()
	return x, nil
}

// await is the second half of Poll.
func (m *Memory) await(ctx context.Context, x *proxy) (Offer, error) {
	select {
	case c := <-x.reply:
		if c == nil {
			return Offer{}, ErrNoClient
		}
		return c.Offer, nil
	case <-ctx.Done():
	}
	m.mu.Lock()
	c, instead := m.pool.leaveProxy(x)
	m.mu.Unlock()
	switch {
	case instead != nil:
		instead.reply <- c
	case c != nil:
		c.reply <- clientResult{err: ErrNoProxies}
	}
	return Offer{}, ctx.Err()
}

// Offer implements Matcher.
func (m *Memory) Offer(ctx context.Context, o Offer) (Answer, error) {
	if err := ctx.Err(); err != nil {
		return Answer{}, err
	}
	m.mu.Lock()
	c, err := m.pool.offer(time.Now(), o)
	if err != nil {
		m.mu.Unlock()
		return Answer{}, err
	}
	c.reply = make(chan clientResult, 1)
	chosen := c.proxy
	m.armLocked()
	m.mu.Unlock()

	chosen.reply <- c
	select {
	case r := <-c.reply:
		return r.answer, r.err
	case <-ctx.Done():
	}
	m.mu.Lock()
	m.pool.leaveClient(c)
	m.mu.Unlock()
	return Answer{}, ctx.Err()
}

// Answer implements Matcher. It never blocks.
func (m *Memory) Answer(_ context.Context, id ProxyID, a Answer) error {
	m.mu.Lock()
	c, err := m.pool.answer(id)
	if err == nil {
		a.Type = c.proxy.Type
	}
	m.mu.Unlock()
	if err != nil {
		return err
	}
	c.reply <- clientResult{answer: a}
	return nil
}

// Stats implements Matcher.
func (m *Memory) Stats() Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.pool.stats()
}

// Close ends every poll that has no client with ErrNoClient, and all later
// ones at once. Clients that were matched may still get their answers. It may
// be called twice.
func (m *Memory) Close() {
	m.mu.Lock()
	m.closed = true
	idle := m.pool.dismiss()
	m.mu.Unlock()
	for _, x := range idle {
		x.reply <- nil
	}
}

// armLocked sees to it that tick runs when the next wait is over. All polls
// wait equally long and so do all clients, so the timer is moved rarely.
func (m *Memory) armLocked() {
	next, ok := m.pool.next()
	if ok && next.Before(m.paused) {
		next = m.paused
	}
	if !ok || !m.armed.IsZero() && !next.Before(m.armed) {
		return
	}
	m.armed = next
	if m.timer == nil {
		m.timer = time.AfterFunc(time.Until(next), m.tick)
		return
	}
	m.timer.Reset(time.Until(next))
}

// tick ends the waits that are over. It may run early or twice: the pool knows.
func (m *Memory) tick() {
	m.mu.Lock()
	m.armed = time.Time{}
	now := time.Now()
	idle, late := m.pool.expire(now, expiryBurst)
	if len(idle) == expiryBurst {
		m.paused = now.Add(expiryPause)
	}
	m.armLocked()
	m.mu.Unlock()
	for _, x := range idle {
		x.reply <- nil
	}
	for _, c := range late {
		c.reply <- clientResult{err: ErrTimedOut}
	}
}
