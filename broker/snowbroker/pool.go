package snowbroker

import (
	"container/heap"
	"container/list"
	"time"

	"flurry/common/messages"
)

// pool is the state of matching: which proxies wait, which of them suits a
// client best, who was matched with whom, and who has waited too long. It is
// pure: it starts nothing, sends nothing and takes the time as an argument.
// Its owner serialises the calls and tells the parties what was decided; every
// decision about a proxy or a client is made, and returned, exactly once.
//
// A poll goes through these states:
//
//	         offer               answer, expire, leaveClient
//	waiting ───────▶ answering ─────────────────────────────▶ gone
//	   └──────────── expire, leaveProxy ───────────────────────▲
type pool struct {
	// Fixed after construction.
	pollWait   time.Duration // a poll without a client ends after this
	clientWait time.Duration // an offer without an answer ends after this
	maxPolls   int           // waiting polls
	maxClients int           // clients whose answer is due

	unrestricted proxyHeap // serve any client
	restricted   proxyHeap // serve unrestricted clients only

	byID    map[ProxyID]*proxy // every poll that is waiting or answering
	waiting list.List          // of *proxy, in the order their wait ends
	pending list.List          // of *client, in the order their wait ends
	arrived uint64             // polls so far

	waitingKinds, answeringKinds map[Kind]int
}

type proxyState uint8

const (
	proxyWaiting proxyState = iota
	proxyAnswering
	proxyGone
)

// proxy is one poll.
type proxy struct {
	Poll
	state   proxyState
	arrival uint64
	until   time.Time     // end of the wait for a client
	place   int           // index in its heap while waiting
	age     *list.Element // in pool.waiting while waiting
	client  *client       // while answering

	reply chan *client // not the pool's: see Memory
}

// client is one offer that was given to a proxy.
type client struct {
	Offer
	until time.Time
	age   *list.Element // in pool.pending; nil once the client is done
	proxy *proxy

	reply chan clientResult // not the pool's: see Memory
}

func newPool(pollWait, clientWait time.Duration, maxPolls, maxClients int) *pool {
	return &pool{
		pollWait: pollWait, clientWait: clientWait,
		maxPolls: maxPolls, maxClients: maxClients,
		byID:           make(map[ProxyID]*proxy),
		waitingKinds:   make(map[Kind]int),
		answeringKinds: make(map[Kind]int),
	}
}

// poll registers a waiting proxy. A registered ID is never displaced.
func (p *pool) poll(now time.Time, q Poll) (*proxy, error) {
	if _, taken := p.byID[q.ID]; taken {
		return nil, ErrDuplicateID
	}
	if p.waiting.Len() >= p.maxPolls {
		return nil, ErrFull
	}
	p.arrived++
	x := &proxy{Poll: q, arrival: p.arrived, until: now.Add(p.pollWait)}
	x.age = p.waiting.PushBack(x)
	heap.Push(p.heapOf(x), x)
	p.byID[x.ID] = x
	p.waitingKinds[x.kind()]++
	return x, nil
}

// offer gives a new client to the proxy that suits it best.
func (p *pool) offer(now time.Time, o Offer) (*client, error) {
	if p.pending.Len() >= p.maxClients {
		return nil, ErrFull
	}
	x := p.best(o.NAT)
	if x == nil {
		return nil, ErrNoProxies
	}
	c := &client{Offer: o, until: now.Add(p.clientWait)}
	c.age = p.pending.PushBack(c)
	p.match(x, c)
	return c, nil
}

// answer takes the answer of the proxy called id and returns the client it is
// for, who is thereby done.
func (p *pool) answer(id ProxyID) (*client, error) {
	x := p.byID[id]
	if x == nil || x.state != proxyAnswering {
		return nil, ErrClientGone
	}
	c := x.client
	p.endClient(c)
	return c, nil
}

// leaveProxy removes a proxy that went away before it learnt its fate. If it
// had been given a client already, that client is returned with the proxy it is
// given instead, or with nil when none is left; then the client is done.
func (p *pool) leaveProxy(x *proxy) (c *client, instead *proxy) {
	switch x.state {
	case proxyWaiting:
		p.unqueue(x)
		p.forget(x)
		return nil, nil
	case proxyGone:
		return nil, nil
	}
	c = x.client
	p.answeringKinds[x.kind()]--
	p.forget(x)
	if instead = p.best(c.NAT); instead == nil {
		p.pending.Remove(c.age)
		c.age = nil
		return c, nil
	}
	p.match(instead, c)
	return c, instead
}

// leaveClient removes a client that went away. Its proxy's answer will find
// nobody.
func (p *pool) leaveClient(c *client) {
	if c.age != nil {
		p.endClient(c)
	}
}

// expire ends the waits that are over at now: all clients', and those of at most
// mostIdle proxies.
func (p *pool) expire(now time.Time, mostIdle int) (idle []*proxy, late []*client) {
	for e := p.waiting.Front(); e != nil && len(idle) < mostIdle && !e.Value.(*proxy).until.After(now); e = p.waiting.Front() {
		x := e.Value.(*proxy)
		p.unqueue(x)
		p.forget(x)
		idle = append(idle, x)
	}
	for e := p.pending.Front(); e != nil && !e.Value.(*client).until.After(now); e = p.pending.Front() {
		c := e.Value.(*client)
		p.endClient(c)
		late = append(late, c)
	}
	return idle, late
}

// dismiss ends the wait of every proxy without a client.
func (p *pool) dismiss() (idle []*proxy) {
	for e := p.waiting.Front(); e != nil; e = p.waiting.Front() {
		x := e.Value.(*proxy)
		p.unqueue(x)
		p.forget(x)
		idle = append(idle, x)
	}
	return idle
}

// next is the time of the next expiry; ok is false when nobody waits.
func (p *pool) next() (t time.Time, ok bool) {
	if e := p.waiting.Front(); e != nil {
		t, ok = e.Value.(*proxy).until, true
	}
	if e := p.pending.Front(); e != nil {
		if u := e.Value.(*client).until; !ok || u.Before(t) {
			t, ok = u, true
		}
	}
	return t, ok
}

// best is the waiting proxy for a client with that NAT, or nil: an
// unrestricted client takes a restricted proxy first and so leaves the
// unrestricted ones to those who need them (wire specification, section 4.1).
func (p *pool) best(nat messages.NATType) *proxy {
	if nat == messages.NATUnrestricted && len(p.restricted) > 0 {
		return p.restricted[0]
	}
	if len(p.unrestricted) > 0 {
		return p.unrestricted[0]
	}
	return nil
}

func (p *pool) match(x *proxy, c *client) {
	p.unqueue(x)
	x.state, x.client, c.proxy = proxyAnswering, c, x
	p.answeringKinds[x.kind()]++
}

// endClient forgets a client and the proxy that was answering it.
func (p *pool) endClient(c *client) {
	p.pending.Remove(c.age)
	c.age = nil
	p.answeringKinds[c.proxy.kind()]--
	p.forget(c.proxy)
}

// unqueue takes a waiting proxy out of the queues.
func (p *pool) unqueue(x *proxy) {
	heap.Remove(p.heapOf(x), x.place)
	p.waiting.Remove(x.age)
	x.age = nil
	p.waitingKinds[x.kind()]--
}

// forget ends the registration of a proxy that is in no queue.
func (p *pool) forget(x *proxy) {
	delete(p.byID, x.ID)
	x.state, x.client = proxyGone, nil
}

// heapOf is the heap in which a proxy waits.
func (p *pool) heapOf(x *proxy) *proxyHeap {
	if x.NAT == messages.NATUnrestricted {
		return &p.unrestricted
	}
	return &p.restricted
}

func (p *pool) stats() Stats {
	return Stats{Waiting: nonZero(p.waitingKinds), Answering: nonZero(p.answeringKinds)}
}

func nonZero(m map[Kind]int) map[Kind]int {
	out := make(map[Kind]int, len(m))
	for k, n := range m {
		if n != 0 {
			out[k] = n
		}
	}
	return out
}

func (x *proxy) kind() Kind { return Kind{x.Type, x.NAT} }

// proxyHeap orders waiting proxies: fewest clients first, then first come
// first served.
type proxyHeap []*proxy

func (h proxyHeap) Len() int { return len(h) }

func (h proxyHeap) Less(i, j int) bool {
	if h[i].Clients != h[j].Clients {
		return h[i].Clients < h[j].Clients
	}
	return h[i].arrival < h[j].arrival
}

func (h proxyHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

// Push is heap.Interface's: it appends x at the end.
func (h *proxyHeap) Push(x any) {
	p := x.(*proxy)
	p.place = len(*h)
	*h = append(*h, p)
}

// Pop is heap.Interface's: it takes the last element off.
func (h *proxyHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return x
}
