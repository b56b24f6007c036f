package snowclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"flurry/common/carrier"
	"flurry/common/messages"
	"flurry/common/vectors"
)

func newTestTransport(t *testing.T, cfg Config) *Transport {
	t.Helper()
	tr, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tr.Close() })
	return tr
}

func dial(t *testing.T, tr *Transport) net.Conn {
	t.Helper()
	c, err := tr.Dial()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// roundTrip sends data over c to an echo and wants it back.
func roundTrip(t *testing.T, c net.Conn, data []byte) {
	t.Helper()
	var sending sync.WaitGroup
	sending.Go(func() {
		if _, err := c.Write(data); err != nil {
			t.Error(err)
		}
	})
	got := make([]byte, len(data))
	if _, err := io.ReadFull(c, got); err != nil {
		t.Fatal(err)
	}
	sending.Wait()
	if !bytes.Equal(got, data) {
		t.Error("what came back is not what was sent")
	}
}

func TestDialCarriesBytesBothWays(t *testing.T) {
	for _, max := range []int{1, 3} {
		t.Run(fmt.Sprint(max), func(t *testing.T) {
			b := newBridge(t)
			tr := newTestTransport(t, Config{Rendezvous: always, Dialer: b, Max: max})
			b.echo()
			c := dial(t, tr)
			roundTrip(t, c, vectors.Payload(1, 1<<20))
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestStreamsShareOneSession(t *testing.T) {
	b := newBridge(t)
	tr := newTestTransport(t, Config{Rendezvous: always, Dialer: b})
	for range 5 {
		b.echo()
		c := dial(t, tr)
		roundTrip(t, c, []byte("hello"))
		defer c.Close()
	}
	if n := b.distinctIDs(); n != 1 {
		t.Errorf("%d ClientIDs for one Transport", n)
	}
}

// The end of a stream must reach the bridge, though the client has no more use
// for its proxies.
func TestCloseReachesTheBridge(t *testing.T) {
	for name, end := range map[string]func(*Transport, net.Conn){
		"stream":    func(_ *Transport, c net.Conn) { c.Close() },
		"transport": func(tr *Transport, _ net.Conn) { tr.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBridge(t)
			tr := newTestTransport(t, Config{Rendezvous: always, Dialer: b})
			tr.linger = 0
			c := dial(t, tr)
			if _, err := c.Write([]byte("hello")); err != nil {
				t.Fatal(err)
			}
			far := b.accept()
			if _, err := c.Write([]byte(", world")); err != nil {
				t.Fatal(err)
			}
			end(tr, c)
			far.SetReadDeadline(time.Now().Add(time.Minute)) // of what the bridge does not hear, it would wait for ever
			if got, err := io.ReadAll(far); string(got) != "hello, world" || err != nil {
				t.Errorf("the bridge read %q, %v", got, err)
			}
		})
	}
}

func TestTheBridgesCloseReachesTheStream(t *testing.T) {
	b := newBridge(t)
	tr := newTestTransport(t, Config{Rendezvous: always, Dialer: b})
	for _, read := range []func(io.Reader) (string, error){
		func(r io.Reader) (string, error) { // by Read
			got, err := io.ReadAll(struct{ io.Reader }{r})
			return string(got), err
		},
		func(r io.Reader) (string, error) { // by WriteTo
			var got strings.Builder
			_, err := io.Copy(&got, r)
			return got.String(), err
		},
	} {
		c := dial(t, tr)
		far := b.accept()
		far.Write([]byte("farewell"))
		far.Close()
		if got, err := read(c); got != "farewell" || err != nil {
			t.Errorf("read %q, %v", got, err)
		}
		c.Close()
	}
}

func TestStreamOutlivesItsPaths(t *testing.T) {
	b := newBridge(t)
	tr := newTestTransport(t, Config{Rendezvous: always, Dialer: b})
	b.echo()
	c := dial(t, tr)
	defer c.Close()
	for range 3 {
		roundTrip(t, c, vectors.Payload(2, 100_000))
		b.lastCarrier().Close()
	}
	roundTrip(t, c, []byte("still here"))
	if n := b.distinctIDs(); n != 1 {
		t.Errorf("%d ClientIDs for one session", n)
	}
}

func TestLostSessionFailsItsStreamsAndTheNextIsFresh(t *testing.T) {
	b := newBridge(t)
	tr := newTestTransport(t, Config{Rendezvous: always, Dialer: b})
	for n := 1; n <= 2; n++ {
		b.echo()
		c := dial(t, tr)
		roundTrip(t, c, []byte("hello"))
		if got := b.distinctIDs(); got != n {
			t.Errorf("%d ClientIDs so far, want %d", got, n)
		}
		tr.mu.Lock()
		s := tr.session
		tr.mu.Unlock()
		s.tunnel.Close() // what the keepalive does after ten minutes
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, ErrSessionLost) {
			t.Errorf("read: %v, want %v", err, ErrSessionLost)
		}
		if _, err := c.Write([]byte("x")); !errors.Is(err, ErrSessionLost) {
			t.Errorf("write: %v, want %v", err, ErrSessionLost)
		}
		c.Close()
	}
}

func TestIdleTransportLetsGoOfProxies(t *testing.T) {
	b := newBridge(t)
	tr := newTestTransport(t, Config{Rendezvous: always, Dialer: b})
	tr.linger = 0
	for n := 1; n <= 2; n++ {
		b.echo()
		c := dial(t, tr)
		roundTrip(t, c, []byte("hello"))
		carrier := b.lastCarrier()
		c.Close()
		<-carrier.Done()
		tr.tasks.Wait() // the session has ended
		if got := b.distinctIDs(); got != n {
			t.Errorf("%d sessions so far, want %d", got, n)
		}
	}
}

func TestLingeringSessionIsUsedAgain(t *testing.T) {
	b := newBridge(t)
	tr := newTestTransport(t, Config{Rendezvous: always, Dialer: b})
	for range 3 {
		b.echo()
		c := dial(t, tr)
		roundTrip(t, c, []byte("hello"))
		c.Close()
	}
	if n := b.distinctIDs(); n != 1 {
		t.Errorf("%d sessions, want 1", n)
	}
}

func TestClosedTransport(t *testing.T) {
	b := newBridge(t)
	tr := newTestTransport(t, Config{Rendezvous: always, Dialer: b})
	b.echo()
	c := dial(t, tr)
	roundTrip(t, c, []byte("hello"))
	for range 2 {
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := tr.Dial(); !errors.Is(err, ErrClosed) {
		t.Errorf("dial: %v, want %v", err, ErrClosed)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, ErrClosed) {
		t.Errorf("read: %v, want %v", err, ErrClosed)
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, ErrClosed) {
		t.Errorf("write: %v, want %v", err, ErrClosed)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if _, err := tr.DialContext(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("dial: %v, want %v", err, ErrClosed)
	}
}

func TestUnusedTransportTouchesNothing(t *testing.T) {
	tr := newTestTransport(t, Config{
		Rendezvous: replier(func(string) (string, error) { t.Error("rendezvous"); return "", nil }),
		Dialer: dialerFunc(func(context.Context, SignalFunc) (carrier.Conn, error) {
			t.Error("dial")
			return nil, errors.New("no")
		}),
	})
	tr.probe = func(context.Context, []string) (messages.NATType, error) { t.Error("probe"); return "", nil }
}

func TestDialNeedsNoProxy(t *testing.T) {
	tr := newTestTransport(t, Config{Rendezvous: waiter{}, Dialer: signalOnly(nil)})
	c := dial(t, tr)
	if _, err := c.Write([]byte("waits for the first proxy")); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := tr.DialContext(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("dial with an ended context: %v", err)
	}
}

func TestNATIsProbedOnce(t *testing.T) {
	b := newBridge(t)
	tr := newTestTransport(t, Config{Rendezvous: always, Dialer: b, ICEServers: []string{"stun:127.0.0.1:1"}})
	tr.linger = 0
	probes := make(chan []string, 8)
	tr.probe = func(_ context.Context, servers []string) (messages.NATType, error) {
		probes <- servers
		return messages.NATRestricted, nil
	}
	for range 2 { // two sessions
		b.echo()
		c := dial(t, tr)
		roundTrip(t, c, []byte("hello"))
		c.Close()
		tr.tasks.Wait()
	}
	if len(probes) != 1 {
		t.Fatalf("%d probes, want 1", len(probes))
	}
	if got := <-probes; !slices.Equal(got, []string{"stun:127.0.0.1:1"}) {
		t.Errorf("probed %q", got)
	}
}

func TestValidateReportsEveryFault(t *testing.T) {
	_, err := New(Config{Fingerprint: "short"})
	if err == nil {
		t.Fatal("a Config with two faults passed")
	}
	for _, field := range []string{"Rendezvous", "Fingerprint"} {
		if !strings.Contains(err.Error(), field) {
			t.Errorf("%q does not name %s", err, field)
		}
	}
}
