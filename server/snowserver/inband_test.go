package snowserver

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"flurry/common/turbotunnel"
)

// brokerFunc is a Rendezvous.
type brokerFunc func(ctx context.Context, request []byte) ([]byte, error)

func (f brokerFunc) Exchange(ctx context.Context, request []byte) ([]byte, error) {
	return f(ctx, request)
}

// echoBroker replies with the request.
func echoBroker(_ context.Context, request []byte) ([]byte, error) { return request, nil }

// silentBroker never replies.
func silentBroker(ctx context.Context, _ []byte) ([]byte, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// A pipeTunnel is a session whose streams are pipes.
type pipeTunnel struct{ far chan net.Conn }

func (p pipeTunnel) OpenStream(context.Context) (net.Conn, error) {
	near, far := net.Pipe()
	p.far <- far
	return near, nil
}

// deskClient is the client's end of a control stream of a desk. It reads all the
// time, as smux does.
type deskClient struct {
	t       *testing.T
	desk    *desk
	raw     net.Conn
	control *turbotunnel.Control
	frames  chan turbotunnel.ControlFrame // closed at the end of the stream
}

// newDeskClient begins a control stream. In a bubble it ends with the test.
func newDeskClient(t *testing.T, d *desk) *deskClient {
	t.Helper()
	p := pipeTunnel{make(chan net.Conn, 1)}
	var tasks sync.WaitGroup
	tasks.Go(func() { d.serve(p) })
	c := &deskClient{t: t, desk: d, raw: <-p.far, frames: make(chan turbotunnel.ControlFrame, 10_000)}
	var err error
	if c.control, err = turbotunnel.AcceptControl(c.raw, time.Second); err != nil {
		t.Fatal(err)
	}
	tasks.Go(func() {
		defer close(c.frames)
		for {
			f, err := c.control.Next()
			if err != nil {
				return
			}
			c.frames <- f
		}
	})
	t.Cleanup(func() {
		c.raw.Close()
		tasks.Wait()
	})
	return c
}

func (c *deskClient) send(kind turbotunnel.ControlKind, id uint32, body string) {
	c.t.Helper()
	if err := c.control.Send(turbotunnel.ControlFrame{Kind: kind, ID: id, Body: []byte(body)}); err != nil {
		c.t.Fatal(err)
	}
}

func (c *deskClient) expect(kind turbotunnel.ControlKind, id uint32, body string) {
	c.t.Helper()
	f, ok := <-c.frames
	if !ok || f.Kind != kind || f.ID != id || string(f.Body) != body {
		c.t.Fatalf("got kind %d, id %d, %q, %v; want kind %d, id %d, %q", f.Kind, f.ID, f.Body, ok, kind, id, body)
	}
}

// bubble runs f with a desk that asks broker, and afterwards looks for what it
// has kept.
func bubble(t *testing.T, broker brokerFunc, f func(t *testing.T, d *desk)) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(broker)
		t.Cleanup(func() {
			if n := len(d.slots); n != 0 {
				t.Errorf("%d slots are taken at the end", n)
			}
		})
		f(t, d)
	})
}

func TestInBandReplies(t *testing.T) {
	bubble(t, echoBroker, func(t *testing.T, d *desk) {
		c := newDeskClient(t, d)
		for id := range uint32(3) {
			c.send(turbotunnel.ControlRequest, id, "offer")
			c.expect(turbotunnel.ControlTaken, id, "")
			c.expect(turbotunnel.ControlReply, id, "offer")
		}
		if got, want := d.stats(), (InBandStats{Clients: 1, Replied: 3}); got != want {
			t.Errorf("counted %+v, want %+v", got, want)
		}
	})
}

func TestInBandBrokerFails(t *testing.T) {
	replies := map[string]brokerFunc{
		"error":  func(context.Context, []byte) ([]byte, error) { return nil, errors.New("no") },
		"giant":  func(context.Context, []byte) ([]byte, error) { return make([]byte, turbotunnel.MaxControlBody+1), nil },
		"silent": silentBroker,
	}
	for name, broker := range replies {
		t.Run(name, func(t *testing.T) {
			bubble(t, broker, func(t *testing.T, d *desk) {
				c := newDeskClient(t, d)
				began := time.Now()
				c.send(turbotunnel.ControlRequest, 7, "offer")
				c.expect(turbotunnel.ControlTaken, 7, "")
				c.expect(turbotunnel.ControlFailed, 7, "")
				if took := time.Since(began); took > cancelGrace+exchangeTimeout {
					t.Errorf("took %v", took)
				}
				if got, want := d.stats(), (InBandStats{Clients: 1, Failed: 1}); got != want {
					t.Errorf("counted %+v, want %+v", got, want)
				}
			})
		})
	}
}

// A request that comes with its own cancellation never reaches the broker; a
// later cancellation ends what is under way.
func TestInBandCanceled(t *testing.T) {
	asked := 0
	bubble(t, func(ctx context.Context, r []byte) ([]byte, error) {
		asked++
		return silentBroker(ctx, r)
	}, func(t *testing.T, d *desk) {
		c := newDeskClient(t, d)
		c.send(turbotunnel.ControlRequest, 1, "offer")
		c.send(turbotunnel.ControlCanceled, 1, "")
		c.expect(turbotunnel.ControlTaken, 1, "")
		c.expect(turbotunnel.ControlFailed, 1, "")
		if asked != 0 {
			t.Error("the broker was asked")
		}
		c.send(turbotunnel.ControlRequest, 2, "offer")
		c.expect(turbotunnel.ControlTaken, 2, "")
		time.Sleep(time.Second)
		began := time.Now()
		c.send(turbotunnel.ControlCanceled, 2, "")
		c.expect(turbotunnel.ControlFailed, 2, "")
		if asked != 1 || time.Since(began) != 0 {
			t.Errorf("asked %d times, ended after %v", asked, time.Since(began))
		}
		c.send(turbotunnel.ControlCanceled, 2, "") // nothing is under way: nothing happens
		c.send(turbotunnel.ControlCanceled, 99, "")
		synctest.Wait()
		if got, want := d.stats(), (InBandStats{Clients: 1, Canceled: 2}); got != want {
			t.Errorf("counted %+v, want %+v", got, want)
		}
	})
}

// A flood gets as far as the allowance, and goes on at its rate.
func TestInBandFlood(t *testing.T) {
	bubble(t, echoBroker, func(t *testing.T, d *desk) {
		c := newDeskClient(t, d)
		count := func(first, n uint32) (replies int) {
			for id := range n {
				c.send(turbotunnel.ControlRequest, first+id, "offer")
			}
			for got := uint32(0); got < n; {
				switch f := <-c.frames; f.Kind {
				case turbotunnel.ControlReply:
					replies++
					got++
				case turbotunnel.ControlFailed:
					got++
				}
			}
			return replies
		}
		if n := count(0, 1000); n != sessionRequests {
			t.Errorf("%d of a flood got through, want %d", n, sessionRequests)
		}
		time.Sleep(10 * time.Second / sessionRate)
		if n := count(1000, 100); n != 10 {
			t.Errorf("%d in ten seconds, want 10", n)
		}
		if got := d.stats().Refused; got != 1100-sessionRequests-10 {
			t.Errorf("counted %d refused", got)
		}
	})
}

// What is under way is bounded, for a session and for all.
func TestInBandUnderWay(t *testing.T) {
	bubble(t, silentBroker, func(t *testing.T, d *desk) {
		var clients []*deskClient
		for range totalRequests/sessionRequests + 1 {
			c := newDeskClient(t, d)
			clients = append(clients, c)
			for id := range uint32(2 * sessionRequests) {
				c.send(turbotunnel.ControlRequest, id, "offer")
			}
		}
		synctest.Wait()
		if n := len(d.slots); n != totalRequests {
			t.Errorf("%d under way, want %d", n, totalRequests)
		}
		last := clients[len(clients)-1]
		for id := range uint32(2 * sessionRequests) {
			last.expect(turbotunnel.ControlFailed, id, "")
		}
		clients[0].raw.Close() // makes room
		synctest.Wait()
		if n := len(d.slots); n != totalRequests-sessionRequests {
			t.Errorf("%d under way after one left, want %d", n, totalRequests-sessionRequests)
		}
	})
}

func TestInBandRate(t *testing.T) {
	d := newDesk(brokerFunc(echoBroker))
	now := time.Now()
	n := 0
	for range 10 * totalRequests {
		if d.rate.take(now) {
			n++
		}
	}
	for range totalRate {
		now = now.Add(time.Second / totalRate / 2)
		if d.rate.take(now) {
			n++
		}
	}
	if want := totalRequests + totalRate/2; n < want-1 || n > want {
		t.Errorf("%d passed, want %d", n, want)
	}
}

// A client that breaks the rules loses the stream and nothing else.
func TestInBandRules(t *testing.T) {
	header := func(kind byte, size uint32) string {
		b := []byte{kind, 0, 0, 0, 1}
		return string(binary.BigEndian.AppendUint32(b, size))
	}
	for name, raw := range map[string]string{
		"giant":         header(1, turbotunnel.MaxControlBody+1),
		"4 GiB":         header(1, 1<<32-1),
		"unknown kind":  header(9, 0),
		"server's kind": header(4, 0),
		"half header":   "\x01\x00",
		"half request":  header(1, 1000) + "x",
		"same id twice": header(1, 1) + "x" + header(1, 1) + "x",
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, silentBroker, func(t *testing.T, d *desk) {
				c := newDeskClient(t, d)
				began := time.Now()
				go io.WriteString(c.raw, raw)
				for f := range c.frames {
					if f.Kind == turbotunnel.ControlReply {
						t.Errorf("got a reply")
					}
				}
				if took := time.Since(began); took > 2*time.Minute {
					t.Errorf("the stream lived for %v", took)
				}
				if d.stats().Replied != 0 {
					t.Error("something got through")
				}
			})
		})
	}
}

// A request longer than any offer is refused, and the stream lives on.
func TestInBandLongRequest(t *testing.T) {
	bubble(t, echoBroker, func(t *testing.T, d *desk) {
		c := newDeskClient(t, d)
		c.send(turbotunnel.ControlRequest, 1, string(make([]byte, maxRequest+1)))
		c.expect(turbotunnel.ControlFailed, 1, "")
		c.send(turbotunnel.ControlRequest, 2, string(make([]byte, maxRequest)))
		c.expect(turbotunnel.ControlTaken, 2, "")
		c.expect(turbotunnel.ControlReply, 2, string(make([]byte, maxRequest)))
	})
}

// A client that does not read what it asked for is given up.
func TestInBandUnread(t *testing.T) {
	bubble(t, echoBroker, func(t *testing.T, d *desk) {
		p := pipeTunnel{make(chan net.Conn, 1)}
		done := make(chan struct{})
		go func() { d.serve(p); close(done) }()
		control, err := turbotunnel.AcceptControl(<-p.far, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if err := control.Send(turbotunnel.ControlFrame{Kind: turbotunnel.ControlRequest, ID: 1}); err != nil {
			t.Fatal(err)
		}
		select {
		case <-done:
		case <-time.After(2 * time.Minute):
			t.Error("the stream is still served")
			control.Close()
			<-done
		}
	})
}

// A client that says nothing, as deployed ones, costs helloTimeout.
func TestInBandDeployedClient(t *testing.T) {
	bubble(t, echoBroker, func(t *testing.T, d *desk) {
		p := pipeTunnel{make(chan net.Conn, 1)}
		began := time.Now()
		go io.Copy(io.Discard, <-func() chan net.Conn { go d.serve(p); return p.far }())
		time.Sleep(2 * helloTimeout)
		synctest.Wait()
		if d.stats().Clients != 0 || time.Since(began) < helloTimeout {
			t.Error("it counts as one that listens")
		}
	})
}

// A session with a control stream is like any other: the stream is not given
// out, does not count, and holds neither the session nor its end.
func TestInBandSession(t *testing.T) {
	table := newTestTable(t, Config{Rendezvous: brokerFunc(echoBroker), IdleTimeout: 50 * time.Millisecond})
	c := newTestClient(t, turbotunnel.NewClientID())
	a := attach(t, table, netip.Addr{})
	c.use(t, a.client)
	near := c.open(t, "hello")
	far := accept(t, table)
	expect(t, far, "hello")

	conn, err := within(t, "AcceptStream", c.session.AcceptStream)
	if err != nil {
		t.Fatal(err)
	}
	control, err := turbotunnel.AcceptControl(conn, testLimit)
	if err != nil {
		t.Fatal(err)
	}
	if err := control.Send(turbotunnel.ControlFrame{Kind: turbotunnel.ControlRequest, ID: 1, Body: []byte("offer")}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []turbotunnel.ControlKind{turbotunnel.ControlTaken, turbotunnel.ControlReply} {
		if f, err := within(t, "Next", control.Next); err != nil || f.Kind != want || f.ID != 1 {
			t.Fatalf("got %+v, %v", f, err)
		}
	}
	if got := table.Stats(); got.Streams != 1 || got.Sessions != 1 {
		t.Errorf("stats %+v", got)
	}
	if got := table.InBand(); got != (InBandStats{Clients: 1, Replied: 1}) {
		t.Errorf("counted %+v", got)
	}
	near.Close()
	expectEOF(t, far)
	far.Close()
	a.client.Close()
	a.expectEnd(t)
	eventually(t, "no session", func() bool { return table.Stats().Sessions == 0 }) // idle, with the control stream open
}

// A client that leaves the stream alone, as deployed ones do, has it closed, and
// its session goes on.
func TestInBandDeployedSession(t *testing.T) {
	cfg := Config{Rendezvous: brokerFunc(echoBroker)}.withDefaults()
	cfg.desk.hello = 50 * time.Millisecond
	table := newTestTable(t, cfg)
	c := newTestClient(t, turbotunnel.NewClientID())
	c.use(t, attach(t, table, netip.Addr{}).client)
	near := c.open(t, "hello")
	far := accept(t, table)
	expect(t, far, "hello")

	offered, err := within(t, "AcceptStream", c.session.AcceptStream)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, offered, "flurryr\x01")
	expectEOF(t, offered)
	io.WriteString(far, "world")
	expect(t, near, "world")
	if got := table.InBand(); got != (InBandStats{}) {
		t.Errorf("counted %+v", got)
	}
}

// A client that asks without end and reads nothing costs its own session's
// allowance, and neither its own streams nor anybody else anything.
func TestInBandGreedyClient(t *testing.T) {
	table := newTestTable(t, Config{Rendezvous: brokerFunc(func(context.Context, []byte) ([]byte, error) {
		return make([]byte, turbotunnel.MaxControlBody), nil
	})})
	begin := func() (*testClient, *turbotunnel.Control) {
		c := newTestClient(t, turbotunnel.NewClientID())
		c.use(t, attach(t, table, netip.Addr{}).client)
		near := c.open(t, "hello")
		far := accept(t, table)
		conn, err := within(t, "AcceptStream", c.session.AcceptStream)
		if err != nil {
			t.Fatal(err)
		}
		control, err := turbotunnel.AcceptControl(conn, testLimit)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(far, "world")
		expect(t, near, "world")
		return c, control
	}
	defer table.Close() // before the streams, which would take leave of a client that is gone
	greedy, control := begin()
	var flood sync.WaitGroup
	flood.Go(func() {
		for id := uint32(0); ; id++ {
			f := turbotunnel.ControlFrame{Kind: turbotunnel.ControlRequest, ID: id, Body: make([]byte, maxRequest)}
			if control.Send(f) != nil {
				return
			}
		}
	})
	defer flood.Wait()
	defer greedy.session.Close()
	eventually(t, "a reply", func() bool { return table.InBand().Replied > 0 })

	near := greedy.open(t, "still")
	defer near.Close()
	expect(t, accept(t, table), "still")
	_, other := begin()
	if err := other.Send(turbotunnel.ControlFrame{Kind: turbotunnel.ControlRequest, ID: 1}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []turbotunnel.ControlKind{turbotunnel.ControlTaken, turbotunnel.ControlReply} {
		if f, err := within(t, "Next", other.Next); err != nil || f.Kind != want {
			t.Fatalf("got kind %d, %v", f.Kind, err)
		}
	}
	if n := table.InBand().Replied; n > 2*sessionRequests {
		t.Errorf("%d requests went to the broker", n)
	}
}

// Shutdown does not wait for control streams.
func TestInBandShutdown(t *testing.T) {
	table := newTestTable(t, Config{Rendezvous: brokerFunc(silentBroker)})
	c := newTestClient(t, turbotunnel.NewClientID())
	c.use(t, attach(t, table, netip.Addr{}).client)
	near := c.open(t, "hello")
	defer near.Close()
	far := accept(t, table)
	conn, err := within(t, "AcceptStream", c.session.AcceptStream)
	if err != nil {
		t.Fatal(err)
	}
	control, err := turbotunnel.AcceptControl(conn, testLimit)
	if err != nil {
		t.Fatal(err)
	}
	if err := control.Send(turbotunnel.ControlFrame{Kind: turbotunnel.ControlRequest, ID: 1}); err != nil {
		t.Fatal(err)
	}
	if f, err := within(t, "Next", control.Next); err != nil || f.Kind != turbotunnel.ControlTaken {
		t.Fatalf("got %+v, %v", f, err)
	}
	far.Close()
	began := time.Now()
	within(t, "Shutdown", func() (struct{}, error) {
		ctx, cancel := context.WithTimeout(context.Background(), testLimit)
		defer cancel()
		table.Shutdown(ctx)
		return struct{}{}, nil
	})
	if took := time.Since(began); took > testLimit/3 {
		t.Errorf("took %v", took)
	}
}

// Without Rendezvous a client is offered nothing.
func TestInBandOff(t *testing.T) {
	table := newTestTable(t, Config{})
	c := newTestClient(t, turbotunnel.NewClientID())
	c.use(t, attach(t, table, netip.Addr{}).client)
	near := c.open(t, "hello")
	far := accept(t, table)
	io.WriteString(far, "world")
	expect(t, near, "world")
	if n := c.session.NumStreams(); n != 1 {
		t.Errorf("the client has %d streams, want its own", n)
	}
}
