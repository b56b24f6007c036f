package snowserver

import (
	"context"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"flurry/common/carrier"
	"flurry/common/carrier/carriertest"
	"flurry/common/multipath"
	"flurry/common/turbotunnel"
)

// testLimit ends a test that waits for something that will not come.
const testLimit = 30 * time.Second

// testClient is a client without rendezvous and proxies: a session over
// whatever carriers it is given.
type testClient struct {
	id      turbotunnel.ClientID
	packets *multipath.Conn
	session *turbotunnel.Session
}

func newTestClient(t *testing.T, id turbotunnel.ClientID) *testClient {
	t.Helper()
	c := &testClient{id: id, packets: multipath.New(multipath.Options{Ask: true})}
	var err error
	if c.session, err = turbotunnel.Client(c.packets, turbotunnel.ClientTuning()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.session.Close() })
	return c
}

// use adds a carrier, whose other end the caller looks after.
func (c *testClient) use(t *testing.T, conn carrier.Conn) *multipath.Path {
	t.Helper()
	p, err := turbotunnel.Attach(t.Context(), conn, c.id)
	if err != nil {
		t.Fatal(err)
	}
	return c.packets.Add(p)
}

// open opens a stream and writes text, without which the server would not
// hear of it.
func (c *testClient) open(t *testing.T, text string) net.Conn {
	t.Helper()
	s, err := c.session.OpenStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(s, text); err != nil {
		t.Fatal(err)
	}
	return s
}

func newTestTable(t *testing.T, cfg Config) *Table {
	t.Helper()
	table, err := NewTable(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { table.Close() })
	return table
}

// attached is a carrier at a table.
type attached struct {
	client carrier.Conn // the far end, without prelude
	ended  chan error   // what Attach returned
}

// attach does what an edge does with a carrier, whose client speaks first.
func attach(t *testing.T, table *Table, client netip.Addr) attached {
	t.Helper()
	a, b := carriertest.Pair(carriertest.Options{})
	ended := make(chan error, 1)
	var edge sync.WaitGroup
	edge.Go(func() {
		id, path, err := turbotunnel.Accept(context.Background(), b)
		if err != nil {
			b.Close()
			ended <- err
			return
		}
		ended <- table.Attach(context.Background(), id, path, client)
	})
	t.Cleanup(func() {
		a.Close()
		edge.Wait()
	})
	return attached{a, ended}
}

// accept takes the next stream, which the caller need not close.
func accept(t *testing.T, table interface{ Accept() (*Stream, error) }) *Stream {
	t.Helper()
	s, err := within(t, "Accept", table.Accept)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// within fails the test when f takes for ever.
func within[T any](t *testing.T, what string, f func() (T, error)) (T, error) {
	t.Helper()
	type result struct {
		v   T
		err error
	}
	ch := make(chan result, 1)
	go func() {
		v, err := f()
		ch <- result{v, err}
	}()
	select {
	case r := <-ch:
		return r.v, r.err
	case <-time.After(testLimit):
		t.Fatalf("%s does not return", what)
		panic("unreachable")
	}
}

// expect reads exactly text.
func expect(t *testing.T, r io.Reader, text string) {
	t.Helper()
	got, err := within(t, "Read", func() (string, error) {
		buf := make([]byte, len(text))
		n, err := io.ReadFull(r, buf)
		return string(buf[:n]), err
	})
	if err != nil || got != text {
		t.Fatalf("read %q, %v, want %q", got, err, text)
	}
}

// expectEOF reads the end.
func expectEOF(t *testing.T, r io.Reader) {
	t.Helper()
	n, err := within(t, "Read", func() (int, error) { return r.Read(make([]byte, 1)) })
	if n != 0 || err != io.EOF {
		t.Fatalf("read %d bytes, %v, want io.EOF", n, err)
	}
}

// expectEnd waits for the end of Attach.
func (a attached) expectEnd(t *testing.T) error {
	t.Helper()
	_, err := within(t, "Attach", func() (struct{}, error) { return struct{}{}, <-a.ended })
	return err
}
