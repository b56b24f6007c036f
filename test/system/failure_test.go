package system

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"flurry/test/stage"
)

// A gate is a writer that lets a transfer go on only up to a point, so that a test can do something at that point of it
// and knows that more is to come.
type gate struct {
	reached chan int64 // how far the transfer has come when it stops
	open    chan struct{}
	step    int64
	got     int64
}

func newGate(step int64) *gate {
	return &gate{reached: make(chan int64), open: make(chan struct{}), step: step}
}

func (g *gate) Write(p []byte) (int, error) {
	before := g.got / g.step
	g.got += int64(len(p))
	if g.got/g.step > before {
		g.reached <- g.got
		<-g.open
	}
	return len(p), nil
}

// busiest finds the volunteer that has carried most since base.
func busiest(t *testing.T, s *stage.Stage, base map[*stage.Proxy]int64) *stage.Proxy {
	t.Helper()
	var best *stage.Proxy
	var most int64
	for _, p := range s.Proxies() {
		u, err := p.Usage()
		if err != nil {
			t.Skip(err) // Not Linux.
		}
		if n := u.Read - base[p]; n > most {
			best, most = p, n
		}
		base[p] = u.Read
	}
	if best == nil || most < 100_000 {
		t.Fatalf("no volunteer carries the transfer; the busiest has moved %d bytes", most)
	}
	return best
}

func TestSystemEveryVolunteerKilledInTurn(t *testing.T) {
	for _, max := range []int{1, 2} {
		t.Run(fmt.Sprintf("max%d", max), func(t *testing.T) {
			s := newStage(t, stage.Options{Proxies: 3, Max: max})
			ctx := testContext(t)
			leaks := watchLeaks(t, ctx, s)
			const kills, step = 3, 8_000_000
			g := newGate(step)
			done := make(chan error, 1)
			conn := dial(t, ctx, s.Client(), nil)
			go func() { done <- stage.Get(ctx, conn, 1, (kills+1)*step-step/2, g) }()
			base := map[*stage.Proxy]int64{}
			for range kills {
				select {
				case <-g.reached:
				case err := <-done:
					t.Fatalf("the transfer ended early: %v", err)
				}
				busiest(t, s, base).Kill()
				// One volunteer must always be there, and the new one is the next to be killed.
				if _, err := s.StartProxy(ctx, stage.ProxyOptions{}); err != nil {
					t.Fatal(err)
				}
				g.open <- struct{}{}
			}
			if err := <-done; err != nil {
				t.Error(err)
			}
			leaks.check(t, ctx)
		})
	}
}

// exchange sends a message over an echo connection and waits for it to come back.
func exchange(t *testing.T, conn net.Conn, back io.Reader, text string) error {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		return err
	}
	b := make([]byte, len(text))
	if _, err := io.ReadFull(back, b); err != nil {
		return err
	}
	if string(b) != text {
		t.Errorf("sent %q, got back %q", text, b)
	}
	return nil
}

// echo opens an echo connection through the stage's client, bounded by ctx.
func echo(t *testing.T, ctx context.Context, s *stage.Stage) (net.Conn, io.Reader) {
	t.Helper()
	conn := dial(t, ctx, s.Client(), nil)
	t.Cleanup(func() { conn.Close() })
	if deadline, ok := ctx.Deadline(); ok {
		conn.SetDeadline(deadline)
	}
	back, err := stage.Echo(ctx, conn)
	if err != nil {
		t.Fatal(err)
	}
	return conn, back
}

func TestSystemBrokerRestartedDuringASession(t *testing.T) {
	s := newStage(t, stage.Options{Proxies: 2})
	ctx := testContext(t)
	leaks := watchLeaks(t, ctx, s)
	conn, back := echo(t, ctx, s)
	if err := exchange(t, conn, back, "before"); err != nil {
		t.Fatal(err)
	}
	if err := s.Broker().Stop(); err != nil {
		t.Fatal(err)
	}
	if err := exchange(t, conn, back, "while there is no broker"); err != nil {
		t.Fatal(err)
	}
	if err := s.StartBroker(ctx); err != nil {
		t.Fatal(err)
	}
	if err := s.WaitAvailable(ctx, 2); err != nil {
		t.Fatal(err)
	}
	if err := exchange(t, conn, back, "after"); err != nil {
		t.Fatal(err)
	}
	// The session can still move to another volunteer, and a new one can begin.
	base := map[*stage.Proxy]int64{}
	for _, p := range s.Proxies() {
		u, err := p.Usage()
		if err != nil {
			t.Skip(err) // Not Linux.
		}
		base[p] = u.Read
	}
	get(t, ctx, s.Client(), 1, 1_000_000)
	busiest(t, s, base).Kill()
	if err := exchange(t, conn, back, "over the other volunteer"); err != nil {
		t.Fatal(err)
	}
	if err := s.WaitAvailable(ctx, 1); err != nil {
		t.Fatal(err)
	}
	other, err := s.StartClient(ctx)
	if err != nil {
		t.Fatal(err)
	}
	get(t, ctx, other, 2, 1_000_000)
	if err := other.Stop(); err != nil {
		t.Error(err)
	}
	conn.Close()
	leaks.check(t, ctx)
}

func TestSystemNoVolunteerThenOne(t *testing.T) {
	s := newStage(t, stage.Options{})
	ctx := testContext(t)
	done := make(chan error, 1)
	conn := dial(t, ctx, s.Client(), nil)
	go func() { done <- stage.Get(ctx, conn, 1, 100_000, nil) }()
	if _, err := s.Client().WaitLine(ctx, `LOG SEVERITY=notice MESSAGE="broker failure`); err != nil {
		t.Fatal(err)
	}
	if _, err := s.StartProxy(ctx, stage.ProxyOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := s.Client().WaitLine(ctx, `LOG SEVERITY=notice MESSAGE="connected"`); err != nil {
		t.Error(err)
	}
}

// serverGoneLimit bounds how long an application waits for an answer that will never come after the bridge died. The client
// takes a minute and several volunteers to be sure.
const serverGoneLimit = 150 * time.Second

func TestSystemServerGoneEndsTheConnection(t *testing.T) {
	t.Parallel() // It mostly waits.
	s := newStage(t, stage.Options{Proxies: 2})
	ctx := testContext(t)
	leaks := watchLeaks(t, ctx, s)
	conn, back := echo(t, ctx, s)
	if err := exchange(t, conn, back, "before"); err != nil {
		t.Fatal(err)
	}
	s.Server().Kill()
	wantLost(t, ctx, s, conn, back)
	if err := s.StartServer(ctx); err != nil {
		t.Fatal(err)
	}
	get(t, ctx, s.Client(), 1, 100_000)
	leaks.check(t, ctx)
}

func TestSystemServerRestartedEndsTheConnection(t *testing.T) {
	t.Parallel() // It mostly waits.
	s := newStage(t, stage.Options{Proxies: 2})
	ctx := testContext(t)
	leaks := watchLeaks(t, ctx, s)
	conn, back := echo(t, ctx, s)
	if err := exchange(t, conn, back, "before"); err != nil {
		t.Fatal(err)
	}
	s.Server().Kill()
	if err := s.StartServer(ctx); err != nil {
		t.Fatal(err)
	}
	wantLost(t, ctx, s, conn, back)
	get(t, ctx, s.Client(), 1, 100_000)
	leaks.check(t, ctx)
}

// wantLost sends something to a bridge that does not know the connection any more. The application must be told by an error,
// not by an end that could be taken for that of a complete transfer, and tor by a line in its log.
func wantLost(t *testing.T, ctx context.Context, s *stage.Stage, conn net.Conn, back io.Reader) {
	t.Helper()
	conn.SetDeadline(time.Now().Add(serverGoneLimit))
	err := exchange(t, conn, back, "after")
	var timeout net.Error
	switch {
	case err == nil:
		t.Fatal("an answer from nowhere")
	case errors.As(err, &timeout) && timeout.Timeout():
		t.Fatalf("the application still waits after %v", serverGoneLimit)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		t.Errorf("the connection ended as if it were complete: %v", err)
	}
	if _, err := s.Client().WaitLine(ctx, `LOG SEVERITY=warning MESSAGE="connection lost: `); err != nil {
		t.Error(err)
	}
}

// A stream that the application closes is closed at the bridge at once, not when the session times out.
func TestSystemCloseReachesTheBridge(t *testing.T) {
	s := newStage(t, stage.Options{Proxies: 1})
	ctx := testContext(t)
	conn, back := echo(t, ctx, s)
	if err := exchange(t, conn, back, "hello"); err != nil {
		t.Fatal(err)
	}
	if n := s.Web().Open(); n != 1 {
		t.Fatalf("%d connections at the ORPort, want 1", n)
	}
	conn.Close()
	eventually(t, ctx, 10*time.Second, func() (bool, string) {
		return s.Web().Open() == 0, "the bridge still holds the connection"
	})
	// The same when the whole client ends.
	conn, back = echo(t, ctx, s)
	if err := exchange(t, conn, back, "hello"); err != nil {
		t.Fatal(err)
	}
	if err := s.Client().Stop(); err != nil {
		t.Fatal(err)
	}
	eventually(t, ctx, 10*time.Second, func() (bool, string) {
		return s.Web().Open() == 0, "the bridge still holds the connection of a client that has ended"
	})
}
