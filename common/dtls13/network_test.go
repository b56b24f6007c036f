package dtls13

import (
	"bytes"
	"container/heap"
	"math/rand/v2"
	"testing"
	"time"
)

// A parcel is a datagram under way.
type parcel struct {
	at       time.Time
	n        int // breaks ties
	toClient bool
	data     []byte
}

type parcels []parcel

func (p parcels) Len() int { return len(p) }
func (p parcels) Less(i, j int) bool {
	return p[i].at.Before(p[j].at) || p[i].at.Equal(p[j].at) && p[i].n < p[j].n
}
func (p parcels) Swap(i, j int) { p[i], p[j] = p[j], p[i] }
func (p *parcels) Push(x any)   { *p = append(*p, x.(parcel)) }
func (p *parcels) Pop() any {
	last := (*p)[len(*p)-1]
	*p = (*p)[:len(*p)-1]
	return last
}

// A fate is what the network does with a datagram: one copy arrives after each of
// the delays.
type fate []time.Duration

const oneWay = 10 * time.Millisecond

// A network is two machines in virtual time.
type network struct {
	client, server *machine
	now            time.Time
	flying         parcels
	sent           int
	log            []parcel // all that was sent, in order
	// fate decides over the n-th datagram. Nil is oneWay for all.
	fate func(n int, p parcel) fate
}

var epochStart = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// testConfig is one that works.
func testConfig(t testing.TB, p Profile) Config {
	t.Helper()
	cert, err := p.NewCertificate()
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := Config{Profile: p, Certificate: cert, VerifyPeer: func([]byte) error { return nil }}.filled()
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func newNetwork(client, server Config) *network {
	n := &network{now: epochStart}
	n.client = newMachine(client, true, n.now)
	n.server = newMachine(server, false, n.now)
	return n
}

func (n *network) collect(m *machine) {
	for _, d := range m.out {
		p := parcel{at: n.now, n: n.sent, toClient: !m.client, data: bytes.Clone(d)}
		n.log = append(n.log, p)
		delays := fate{oneWay}
		if n.fate != nil {
			delays = n.fate(n.sent, p)
		}
		n.sent++
		for _, d := range delays {
			p.at = n.now.Add(d)
			p.data = bytes.Clone(p.data)
			heap.Push(&n.flying, p)
		}
	}
	m.out = nil
}

// step lets the next thing happen. It returns false if nothing will.
func (n *network) step() bool {
	n.collect(n.client)
	n.collect(n.server)
	var next time.Time
	for _, m := range []*machine{n.client, n.server} {
		if d := m.deadline(); !d.IsZero() && (next.IsZero() || d.Before(next)) {
			next = d
		}
	}
	if len(n.flying) > 0 && (next.IsZero() || !next.Before(n.flying[0].at)) {
		p := heap.Pop(&n.flying).(parcel)
		n.now = p.at
		m := n.server
		if p.toClient {
			m = n.client
		}
		m.input(n.now, p.data)
		return true
	}
	if next.IsZero() {
		return false
	}
	n.now = next
	n.client.timeout(n.now)
	n.server.timeout(n.now)
	return true
}

// run goes on until nothing more happens. It returns false if that is not soon.
func (n *network) run() bool {
	n.client.start(n.now)
	return n.settle()
}

func (n *network) settle() bool {
	for range 10_000 {
		if !n.step() {
			return true
		}
	}
	return false
}

// check fails the test unless both ends have completed alike, and can talk.
func (n *network) check(t testing.TB) {
	t.Helper()
	c, s := n.client, n.server
	if c.err != nil || s.err != nil || !c.done || !s.done {
		t.Fatalf("client: done %v, error %v; server: done %v, error %v", c.done, c.err, s.done, s.err)
	}
	if c.flight != nil || s.flight != nil {
		t.Errorf("a flight is still under way")
	}
	if c.state.CipherSuite != s.state.CipherSuite || c.state.Group != s.state.Group || c.state.SRTPProfile != s.state.SRTPProfile ||
		c.state.Version != s.state.Version {
		t.Errorf("client agreed on %+v, server on %+v", c.state, s.state)
	}
	if !bytes.Equal(c.state.PeerCertificate, s.cfg.Certificate.DER) || !bytes.Equal(s.state.PeerCertificate, c.cfg.Certificate.DER) {
		t.Error("certificates differ")
	}
	a, errA := c.export("EXTRACTOR-dtls_srtp", nil, 60)
	b, errB := s.export("EXTRACTOR-dtls_srtp", nil, 60)
	if errA != nil || errB != nil || !bytes.Equal(a, b) {
		t.Errorf("exporters differ: %v %v", errA, errB)
	}
	n.talk(t, c, s)
	n.talk(t, s, c)
}

// talk sends one record of data.
func (n *network) talk(t testing.TB, from, to *machine) {
	t.Helper()
	want := []byte("hello from " + map[bool]string{true: "client", false: "server"}[from.client])
	from.sendRecord(typeData, want)
	for _, d := range from.out {
		to.input(n.now, bytes.Clone(d))
	}
	from.out = nil
	if len(to.data) != 1 || !bytes.Equal(to.data[0], want) {
		t.Errorf("data came as %q", to.data)
	}
	to.data = nil
}

// lossy drops, doubles and delays at random.
func lossy(seed uint64, loss float64) func(int, parcel) fate {
	r := rand.New(rand.NewPCG(seed, 1))
	return func(int, parcel) fate {
		delay := func() time.Duration { return oneWay + time.Duration(r.IntN(40))*time.Millisecond }
		switch {
		case r.Float64() < loss:
			return nil
		case r.Float64() < 0.1:
			return fate{delay(), delay()}
		}
		return fate{delay()}
	}
}
