package snowserver

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"flurry/common/carrier/carriertest"
	"flurry/common/multipath"
	"flurry/common/turbotunnel"
)

// held is what a table holds, without the segments that it has sent.
func held(t *Table) Stats {
	s := t.Stats()
	s.Stats = multipath.Stats{}
	return s
}

func TestStreamBothWays(t *testing.T) {
	table := newTestTable(t, Config{Shards: 3})
	c := newTestClient(t, turbotunnel.NewClientID())
	c.use(t, attach(t, table, netip.MustParseAddr("192.0.2.1")).client)

	near := c.open(t, "hello")
	far := accept(t, table)
	expect(t, far, "hello")
	io.WriteString(far, "world")
	expect(t, near, "world")

	if got := far.RemoteAddr(); got.String() != "192.0.2.1:1" || got.Network() != "snowflake" {
		t.Errorf("RemoteAddr is %v of network %v", got, got.Network())
	}
	if got, want := held(table), (Stats{Carriers: 1, Sessions: 1, Streams: 1}); got != want {
		t.Errorf("stats %+v, want %+v", got, want)
	}
	far.Close()
	far.Close()
	if got := table.Stats().Streams; got != 0 {
		t.Errorf("%d streams after Close, want 0", got)
	}
}

// The server must learn of a closed stream at once, and deliver what came
// before (spec section 13, number 23c).
func TestEndOfStreamArrives(t *testing.T) {
	table := newTestTable(t, Config{})
	c := newTestClient(t, turbotunnel.NewClientID())
	c.use(t, attach(t, table, netip.Addr{}).client)

	near := c.open(t, "last words")
	near.Close()
	far := accept(t, table)
	expect(t, far, "last words")
	expectEOF(t, far)

	near = c.open(t, "another")
	far = accept(t, table)
	io.WriteString(far, "answer")
	far.Close()
	expect(t, near, "answer")
	expectEOF(t, near)
}

func TestManyCarriersOneClient(t *testing.T) {
	const n = 5
	table := newTestTable(t, Config{Shards: 2})
	c := newTestClient(t, turbotunnel.NewClientID())
	var carriers []attached
	for range n {
		a := attach(t, table, netip.Addr{})
		c.use(t, a.client)
		carriers = append(carriers, a)
	}
	payload := bytes.Repeat([]byte("0123456789abcdef"), 20000)
	near := c.open(t, "")
	go near.Write(payload)
	far := accept(t, table)
	if far.RemoteAddr().String() != "" {
		t.Errorf("RemoteAddr is %v, want nothing", far.RemoteAddr())
	}
	// One carrier after the other ends while the payload is on its way.
	part := len(payload) / n
	for i := range n {
		expect(t, far, string(payload[i*part:(i+1)*part]))
		if i < n-1 {
			carriers[i].client.Close()
			if err := carriers[i].expectEnd(t); err != nil {
				t.Errorf("carrier %d: %v", i, err)
			}
		}
	}
	sum := sha256.Sum256(payload)
	far.Write(sum[:])
	expect(t, near, string(sum[:]))
}

// The address is that of the carrier that came last before the session.
func TestAddressOfMostRecentCarrier(t *testing.T) {
	table := newTestTable(t, Config{})
	c := newTestClient(t, turbotunnel.NewClientID())
	for _, ip := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.3"} {
		a := attach(t, table, netip.MustParseAddr(ip))
		conn, err := turbotunnel.Attach(t.Context(), a.client, c.id)
		if err != nil {
			t.Fatal(err)
		}
		waitCarrier(t, table, c.id, ip)
		if ip == "192.0.2.3" {
			c.packets.Add(conn)
		}
	}
	near := c.open(t, "x")
	far := accept(t, table)
	if got := far.RemoteAddr().String(); got != "192.0.2.3:1" {
		t.Errorf("RemoteAddr is %v", got)
	}
	near.Close()

	// A later carrier does not change what the session was accepted with.
	attachAs(t, c, table, "192.0.2.4")
	c.open(t, "y")
	if got := accept(t, table).RemoteAddr().String(); got != "192.0.2.3:1" {
		t.Errorf("RemoteAddr of the second stream is %v", got)
	}
}

// attachAs adds a carrier to c and returns when the table has it.
func attachAs(t *testing.T, c *testClient, table *Table, ip string) attached {
	t.Helper()
	a := attach(t, table, netip.MustParseAddr(ip))
	c.use(t, a.client)
	waitCarrier(t, table, c.id, ip)
	return a
}

// waitCarrier returns when the most recent carrier of id is the one with ip.
func waitCarrier(t *testing.T, table *Table, id turbotunnel.ClientID, ip string) {
	t.Helper()
	s := table.shardOf(id)
	eventually(t, "carrier of "+ip, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		c := s.clients[id]
		return c != nil && c.addr == netip.MustParseAddr(ip)
	})
}

// eventually polls for what has no event to wait for.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	limit := time.After(testLimit)
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("%s: not yet", what)
		}
	}
}

func TestExpiry(t *testing.T) {
	table := newTestTable(t, Config{IdleTimeout: time.Hour}) // expire is called by hand
	c := newTestClient(t, turbotunnel.NewClientID())
	a := attachAs(t, c, table, "192.0.2.1")
	near := c.open(t, "x")
	far := accept(t, table)
	s := table.shardOf(c.id)

	now := time.Now()
	at := func(d time.Duration) int { return len(s.expire(now.Add(d))) }
	if at(2*time.Hour) != 0 {
		t.Error("a client with a carrier expired")
	}
	near.Close()
	expect(t, far, "x")
	expectEOF(t, far)
	a.client.Close()
	a.expectEnd(t)
	if at(2*time.Hour) != 0 {
		t.Error("a session with a stream expired")
	}
	far.Close()
	if at(2*time.Hour+59*time.Minute) != 0 {
		t.Error("a session expired within an hour after its last stream")
	}
	left := s.expire(now.Add(3*time.Hour + time.Second))
	if len(left) != 1 {
		t.Fatalf("%d sessions expired, want 1", len(left))
	}
	left[0].Close()
	eventually(t, "no session", func() bool { return table.Stats().Sessions == 0 })
	eventually(t, "no client", func() bool { return at(4*time.Hour) == 0 && len(s.clients) == 0 })
}

func TestUnusedCarriersAreForgotten(t *testing.T) {
	table := newTestTable(t, Config{IdleTimeout: time.Hour})
	c := newTestClient(t, turbotunnel.NewClientID())
	a := attachAs(t, c, table, "192.0.2.1")
	a.client.Close()
	a.expectEnd(t)
	s := table.shardOf(c.id)
	for _, conn := range s.expire(time.Now().Add(2 * time.Hour)) {
		conn.Close()
	}
	eventually(t, "no client", func() bool { return len(s.expire(time.Now())) == 0 && len(s.clients) == 0 })
}

func TestLimits(t *testing.T) {
	t.Run("carriers of a client", func(t *testing.T) {
		table := newTestTable(t, Config{})
		id := turbotunnel.NewClientID()
		for range maxCarriers {
			newTestClient(t, id).use(t, attach(t, table, netip.Addr{}).client)
		}
		eventually(t, "all carriers", func() bool { return table.Stats().Carriers == maxCarriers })
		a := attach(t, table, netip.Addr{})
		turbotunnel.Attach(t.Context(), a.client, id)
		if err := a.expectEnd(t); !errors.Is(err, ErrTooManyCarriers) {
			t.Errorf("one more: %v", err)
		}
	})
	t.Run("clients", func(t *testing.T) {
		table := newTestTable(t, Config{MaxSessions: 1})
		c := newTestClient(t, turbotunnel.NewClientID())
		attachAs(t, c, table, "192.0.2.1")
		a := attach(t, table, netip.Addr{})
		turbotunnel.Attach(t.Context(), a.client, turbotunnel.NewClientID())
		if err := a.expectEnd(t); !errors.Is(err, ErrTableFull) {
			t.Errorf("one more: %v", err)
		}
	})
	t.Run("streams of a session", func(t *testing.T) {
		table := newTestTable(t, Config{MaxStreams: 2})
		c := newTestClient(t, turbotunnel.NewClientID())
		c.use(t, attach(t, table, netip.Addr{}).client)
		c.open(t, "a")
		c.open(t, "b")
		first := accept(t, table)
		accept(t, table)
		expectEOF(t, c.open(t, "c"))
		first.Close()
		d := c.open(t, "d")
		expect(t, accept(t, table), "d")
		d.Close()
	})
}

func TestTableClose(t *testing.T) {
	table := newTestTable(t, Config{Shards: 2})
	c := newTestClient(t, turbotunnel.NewClientID())
	a := attach(t, table, netip.Addr{})
	c.use(t, a.client)
	c.open(t, "x")
	far := accept(t, table)
	expect(t, far, "x")
	c.open(t, "nobody accepts this")

	waiting := make(chan error, 1)
	go func() {
		for {
			s, err := table.Accept()
			if err != nil {
				waiting <- err
				return
			}
			s.Close()
		}
	}()
	table.Close()
	table.Close()
	a.expectEnd(t)
	if err := <-waiting; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: %v", err)
	}
	if _, err := far.Read(make([]byte, 1)); err == nil {
		t.Error("a stream outlives the table")
	}
	late, _ := carriertest.Pair(carriertest.Options{})
	if err := table.Attach(context.Background(), c.id, late, netip.Addr{}); !errors.Is(err, ErrTableClosed) {
		t.Errorf("Attach: %v", err)
	}
	select {
	case <-late.Done():
	default:
		t.Error("a refused carrier was left open")
	}
	if got, want := held(table), (Stats{Streams: 1}); got != want { // far is the test's own
		t.Errorf("stats %+v, want %+v", got, want)
	}
}

// Shutdown must not lose the end of what was sent.
func TestShutdownDelivers(t *testing.T) {
	table := newTestTable(t, Config{})
	c := newTestClient(t, turbotunnel.NewClientID())
	a, b := carriertest.Pair(carriertest.Options{Delay: 50 * time.Millisecond})
	go func() {
		id, path, err := turbotunnel.Accept(context.Background(), b)
		if err == nil {
			table.Attach(context.Background(), id, path, netip.Addr{})
		}
	}()
	c.use(t, a)
	near := c.open(t, "x")
	far := accept(t, table)
	text := strings.Repeat("all of this must arrive. ", 4000)
	if _, err := io.WriteString(far, text); err != nil {
		t.Fatal(err)
	}
	far.Close()
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	defer cancel()
	table.Shutdown(ctx)
	expect(t, near, text)
	expectEOF(t, near)
	if ctx.Err() != nil {
		t.Error("Shutdown waited for nothing")
	}
}

func TestShardsAreChosenByKey(t *testing.T) {
	const n, ids = 4, 400
	index := func(table *Table, id turbotunnel.ClientID) int {
		for i, s := range table.shards {
			if s == table.shardOf(id) {
				return i
			}
		}
		return -1
	}
	one, two := newTestTable(t, Config{Shards: n}), newTestTable(t, Config{Shards: n})
	var count [n]int
	same := 0
	for i := range ids {
		// What the deployed server would put on a single engine.
		id := turbotunnel.ClientID{0, byte(i), byte(i >> 8)}
		k := index(one, id)
		count[k]++
		if k == index(two, id) {
			same++
		}
		if k != index(one, id) {
			t.Fatal("a client changes its shard")
		}
	}
	for i, c := range count {
		if c < ids/n/2 {
			t.Errorf("shard %d has %d of %d clients", i, c, ids)
		}
	}
	if same > ids/2 {
		t.Errorf("%d of %d clients have the same shard under another key", same, ids)
	}
}
