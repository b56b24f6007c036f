package snowbroker

import (
	"bufio"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"flurry/common/messages"
)

// TestScenarios plays the text files in testdata: each line is an event, the
// lines behind ">" are all that must come of it. choice.txt lists the events.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { playFile(t, file) })
	}
}

func playFile(t *testing.T, file string) {
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := newScenario(1000, 1000)
	var event string
	var eventLine int
	var got, want []string
	check := func() {
		if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
			t.Errorf("%s:%d: %s\ngot:\n%s\nwant:\n%s", file, eventLine, event, g, w)
		}
		got, want = nil, nil
	}
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if outcome, ok := strings.CutPrefix(line, "> "); ok {
			want = append(want, outcome)
			continue
		}
		check()
		event, eventLine = line, n
		if got, err = s.play(strings.Fields(line)); err != nil {
			t.Fatalf("%s:%d: %s: %v", file, n, line, err)
		}
		if err := s.pool.consistent(); err != nil {
			t.Fatalf("%s:%d: after %s: %v", file, n, line, err)
		}
	}
	check()
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
}

// scenario is a pool and the parties that know their own places in it.
type scenario struct {
	pool    *pool
	now     time.Time
	proxies map[string]*proxy  // the latest poll by each name
	clients map[string]*client // the latest offer by each name
	names   map[*client]string
}

func newScenario(maxPolls, maxClients int) *scenario {
	return &scenario{
		pool:    newPool(DefaultPollWait, DefaultClientWait, maxPolls, maxClients),
		now:     time.Unix(0, 0),
		proxies: make(map[string]*proxy),
		clients: make(map[string]*client),
		names:   make(map[*client]string),
	}
}

// play plays one event and returns its outcomes.
func (s *scenario) play(words []string) ([]string, error) {
	arg := func(i int) string {
		if i < len(words) {
			return words[i]
		}
		return ""
	}
	switch words[0] {
	case "limits":
		polls, _ := strconv.Atoi(arg(1))
		clients, _ := strconv.Atoi(arg(2))
		*s = *newScenario(polls, clients)
		return nil, nil
	case "poll":
		return s.poll(arg(1), arg(2), arg(3))
	case "offer":
		return s.offer(arg(1), arg(2))
	case "answer":
		c, err := s.pool.answer(ProxyID(arg(1)))
		if err != nil {
			return refused(arg(1), err), nil
		}
		return []string{fmt.Sprintf("%s answered by %s", s.names[c], c.proxy.ID)}, nil
	case "leave":
		return s.leave(arg(1))
	case "tick":
		d, err := time.ParseDuration(arg(1))
		if err != nil {
			return nil, err
		}
		return s.tick(d), nil
	case "dismiss":
		return idleLines(s.pool.dismiss()), nil
	case "stats":
		sum := func(m map[Kind]int) (n int) {
			for _, k := range m {
				n += k
			}
			return n
		}
		st := s.pool.stats()
		return []string{fmt.Sprintf("waiting %d answering %d", sum(st.Waiting), sum(st.Answering))}, nil
	}
	return nil, errors.New("unknown event")
}

func (s *scenario) poll(id, nat, clients string) ([]string, error) {
	n, err := strconv.Atoi(clients)
	if err != nil {
		return nil, err
	}
	x, err := s.pool.poll(s.now, Poll{ID: ProxyID(id), NAT: messages.NATType(nat), Clients: n})
	if err != nil {
		return refused(id, err), nil
	}
	s.proxies[id] = x
	return nil, nil
}

func (s *scenario) offer(name, nat string) ([]string, error) {
	c, err := s.pool.offer(s.now, Offer{NAT: messages.NATType(nat)})
	switch {
	case errors.Is(err, ErrNoProxies):
		return []string{name + " denied"}, nil
	case err != nil:
		return refused(name, err), nil
	}
	s.clients[name], s.names[c] = c, name
	return []string{fmt.Sprintf("%s -> %s", name, c.proxy.ID)}, nil
}

func (s *scenario) leave(name string) ([]string, error) {
	if c := s.clients[name]; c != nil {
		s.pool.leaveClient(c)
		return nil, nil
	}
	x := s.proxies[name]
	if x == nil {
		return nil, errors.New("nobody is called that")
	}
	c, instead := s.pool.leaveProxy(x)
	switch {
	case instead != nil:
		return []string{fmt.Sprintf("%s -> %s", s.names[c], instead.ID)}, nil
	case c != nil:
		return []string{s.names[c] + " denied"}, nil
	}
	return nil, nil
}

// tick lets d pass, stopping wherever the pool says something is due.
func (s *scenario) tick(d time.Duration) (out []string) {
	end := s.now.Add(d)
	for {
		s.now = end
		if next, ok := s.pool.next(); ok && next.Before(end) {
			s.now = next
		}
		idle, late := s.pool.expire(s.now, math.MaxInt)
		out = append(out, idleLines(idle)...)
		for _, c := range late {
			out = append(out, s.names[c]+" timed out")
		}
		if s.now.Equal(end) {
			return out
		}
	}
}

func idleLines(idle []*proxy) (out []string) {
	for _, x := range idle {
		out = append(out, string(x.ID)+" idle")
	}
	return out
}

func refused(name string, err error) []string {
	switch {
	case errors.Is(err, ErrClientGone):
		return []string{name + ": client gone"}
	case errors.Is(err, ErrDuplicateID):
		return []string{name + ": duplicate"}
	case errors.Is(err, ErrFull):
		return []string{name + ": full"}
	}
	return []string{name + ": " + err.Error()}
}

// consistent checks what must hold of a pool between any two calls.
func (p *pool) consistent() error {
	waiting, answering := 0, 0
	for id, x := range p.byID {
		switch {
		case x.ID != id:
			return fmt.Errorf("%s is registered as %s", x.ID, id)
		case x.state == proxyWaiting:
			waiting++
			if h := *p.heapOf(x); x.place >= len(h) || h[x.place] != x {
				return fmt.Errorf("%s is not where it waits", id)
			}
		case x.state == proxyAnswering:
			answering++
			if x.client == nil || x.client.proxy != x || x.client.age == nil {
				return fmt.Errorf("%s answers nobody", id)
			}
		default:
			return fmt.Errorf("%s is gone but registered", id)
		}
	}
	if n := len(p.restricted) + len(p.unrestricted); n != waiting || p.waiting.Len() != waiting {
		return fmt.Errorf("%d wait, %d in heaps, %d in order of age", waiting, n, p.waiting.Len())
	}
	if p.pending.Len() != answering {
		return fmt.Errorf("%d answer, %d clients are pending", answering, p.pending.Len())
	}
	for _, h := range []proxyHeap{p.restricted, p.unrestricted} {
		for i := 1; i < len(h); i++ {
			if h.Less(i, (i-1)/2) {
				return errors.New("heap is out of order")
			}
		}
	}
	return nil
}

// BenchmarkPool measures a poll, an offer and an answer beside 10,000 polls
// that wait.
func BenchmarkPool(b *testing.B) {
	b.ReportAllocs()
	p := newPool(DefaultPollWait, DefaultClientWait, 1<<20, 1<<20)
	now := time.Unix(0, 0)
	n := 0
	poll := func() {
		n++
		if _, err := p.poll(now, Poll{ID: ProxyID(strconv.Itoa(n)), NAT: messages.NATUnrestricted}); err != nil {
			b.Fatal(err)
		}
	}
	for range 10_000 {
		poll()
	}
	for b.Loop() {
		poll()
		c, err := p.offer(now, Offer{NAT: messages.NATRestricted})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := p.answer(c.proxy.ID); err != nil {
			b.Fatal(err)
		}
	}
}
