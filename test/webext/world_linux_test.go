package webext

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"flurry/test/browsers"
	"flurry/test/stage"
)

// A world is a stage without volunteers, with somebody at its doors who counts.
type world struct {
	*stage.Stage
	broker   *brokerFront
	relay    *relayFront
	relayURL string // of relay
	probeURL string // of the probe service
}

func newWorld(ctx context.Context, t testing.TB) *world {
	t.Helper()
	return newWorldWith(ctx, t, "ws", stage.Options{})
}

// newWorldWith is newWorld with a relay for that scheme, and other options.
func newWorldWith(ctx context.Context, t testing.TB, scheme string, o stage.Options) *world {
	t.Helper()
	var err error
	if o.Programs, err = programs(); err != nil {
		t.Fatal(err)
	}
	w := &world{broker: newBrokerFront(t), relay: newRelayFront(t)}
	w.probeURL = startProbe(ctx, t)
	w.relayURL = scheme + "://" + w.relay.ln.Addr().String() + "/"
	o.Max, o.RelayURL = 1, w.relayURL
	if w.Stage, err = stage.New(ctx, o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, p := range []*stage.Process{w.Client().Process, w.Server(), w.Broker()} {
				t.Log(p.Tail(20))
			}
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	relay, err := url.Parse(w.RelayURL())
	if err != nil {
		t.Fatal(err)
	}
	w.broker.serve(t, w.BrokerURL())
	w.relay.serve(ctx, t, relay.Host)
	return w
}

// startProbe runs the probe service until the test ends. There is no NAT on loopback, so it finds everybody unrestricted: whom a
// client can be given that does not know its own NAT yet, such as a deployed one in its first moments.
func startProbe(ctx context.Context, t testing.TB) (url string) {
	t.Helper()
	ln := listen(t)
	address := ln.Addr().String()
	ln.Close()
	g, err := browsers.Start(t.TempDir(), probeProgram(), "-addr="+address, "-disable-tls", "-stun=", "-keep-local-addresses")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.End(); err != nil {
			t.Error(err)
		}
	})
	err = until(ctx, func() (bool, string) {
		conn, err := net.Dial("tcp4", address)
		if err != nil {
			return false, err.Error()
		}
		return true, fmt.Sprint(conn.Close())
	})
	if err != nil {
		t.Fatal(err)
	}
	return "http://" + address + "/probe"
}

// config leads volunteers to this world.
func (w *world) config() config {
	return config{Type: "webext", BrokerURL: w.broker.url(), ProbeURL: w.probeURL, RelayPattern: "^127.0.0.1$",
		RelayURL: w.relayURL, STUNServers: []string{w.STUN()}, Local: true}
}

// startClient starts a client of its own, which ends with the test if not before.
func (w *world) startClient(ctx context.Context, t testing.TB) *stage.Client {
	t.Helper()
	c, err := w.StartClient(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func stopClient(t testing.TB, c *stage.Client) {
	t.Helper()
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
}

// carry moves a file of that size down through a client and another one up, at the same time.
func carry(ctx context.Context, t testing.TB, c *stage.Client, size int64) {
	t.Helper()
	began := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	for _, move := range []func(context.Context, net.Conn) error{
		func(ctx context.Context, conn net.Conn) error { return stage.Get(ctx, conn, 1, size, nil) },
		func(ctx context.Context, conn net.Conn) error { return stage.Put(ctx, conn, 2, size) },
	} {
		group.Go(func() error {
			conn, err := c.Dial(ctx, nil)
			if err != nil {
				return err
			}
			return move(ctx, conn)
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes each way in %v", size, time.Since(began).Round(time.Millisecond))
}

// A talk is a connection through a client, on which the web site gives back what it is sent.
type talk struct {
	conn net.Conn
	back io.Reader
}

func beginTalk(ctx context.Context, t testing.TB, c *stage.Client) *talk {
	t.Helper()
	conn, err := c.Dial(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if deadline, ok := ctx.Deadline(); ok {
		conn.SetDeadline(deadline) //nolint:errcheck // The connection is open.
	}
	back, err := stage.Echo(ctx, conn)
	if err != nil {
		t.Fatal(err)
	}
	talk := &talk{conn, back}
	talk.say(t, "hello")
	return talk
}

// say sends something and waits until it is back.
func (k *talk) say(t testing.TB, text string) {
	t.Helper()
	if err := k.try(text); err != nil {
		t.Fatal(err)
	}
}

func (k *talk) try(text string) error {
	if _, err := io.WriteString(k.conn, text); err != nil {
		return err
	}
	b := make([]byte, len(text))
	if _, err := io.ReadFull(k.back, b); err != nil {
		return fmt.Errorf("wait for %q to come back: %w", text, err)
	}
	if string(b) != text {
		return fmt.Errorf("sent %q, got back %q", text, b)
	}
	return nil
}
