package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/xtaci/smux"
)

// relayed is a relay between a client's end of a stream and tor's end of a
// connection.
type relayed struct {
	client net.Conn
	tor    *net.TCPConn
	stop   context.CancelFunc
	done   chan struct{}
}

// tcpPair is a connection over loopback.
func tcpPair(t *testing.T) (a, b *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); s.Close() })
	return c.(*net.TCPConn), s.(*net.TCPConn)
}

// startRelay joins a smux stream, whose habits matter, and a TCP connection.
func startRelay(t *testing.T) *relayed {
	t.Helper()
	lower, upper := tcpPair(t)
	cfg := smux.DefaultConfig()
	cfg.Version = 2
	near, err := smux.Client(lower, cfg)
	if err != nil {
		t.Fatal(err)
	}
	far, err := smux.Server(upper, cfg)
	if err != nil {
		t.Fatal(err)
	}
	client, err := near.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	stream, err := far.AcceptStream()
	if err != nil {
		t.Fatal(err)
	}
	or, tor := tcpPair(t)
	ctx, stop := context.WithCancel(t.Context())
	r := &relayed{client: client, tor: tor, stop: stop, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		newRelay().run(ctx, stream, or)
	}()
	t.Cleanup(func() {
		stop()
		<-r.done
		near.Close()
		far.Close()
	})
	return r
}

func TestRelayBothWays(t *testing.T) {
	r := startRelay(t)
	sent := make([]byte, 5<<20+7)
	rand.Read(sent)
	for _, way := range []struct {
		name     string
		from, to net.Conn
	}{{"up", r.client, r.tor}, {"down", r.tor, r.client}} {
		var writer sync.WaitGroup
		writer.Go(func() { way.from.Write(sent) })
		got := make([]byte, len(sent))
		if _, err := io.ReadFull(way.to, got); err != nil || !bytes.Equal(got, sent) {
			t.Errorf("%s: %v, or other bytes", way.name, err)
		}
		writer.Wait()
	}
}

func TestRelayClientCloses(t *testing.T) {
	r := startRelay(t)
	io.WriteString(r.client, "bye")
	r.client.Close()
	expect(t, r.tor, "bye")
	expectEOF(t, r.tor)
	r.tor.Close()
	<-r.done
}

// Tor may be in the middle of a sentence when the client goes; it must still
// read all that the client said, not a reset.
func TestRelayClientClosesWhileTorTalks(t *testing.T) {
	r := startRelay(t)
	io.WriteString(r.tor, "what nobody will read")
	io.WriteString(r.client, "bye")
	r.client.Close()
	expect(t, r.tor, "bye")
	io.WriteString(r.tor, "nor this")
	expectEOF(t, r.tor)
	r.tor.Close()
	<-r.done
}

func TestRelayTorCloses(t *testing.T) {
	r := startRelay(t)
	io.WriteString(r.tor, "bye")
	r.tor.Close()
	expect(t, r.client, "bye")
	expectEOF(t, r.client)
	<-r.done
}

// Tor that keeps its end open must not keep the relay.
func TestRelayLingerEnds(t *testing.T) {
	r := startRelay(t)
	r.client.Close()
	expectEOF(t, r.tor)
	<-r.done
}

func TestRelayStops(t *testing.T) {
	r := startRelay(t)
	io.WriteString(r.client, "x")
	expect(t, r.tor, "x")
	r.stop()
	expectEOF(t, r.tor)
	expectEOF(t, r.client)
	<-r.done
}

func BenchmarkRelayDown(b *testing.B) {
	b.ReportAllocs()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	tor, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	or, err := l.Accept()
	if err != nil {
		b.Fatal(err)
	}
	defer or.Close()
	b.SetBytes(copySize)
	go func() {
		defer tor.Close()
		chunk := make([]byte, copySize)
		for range b.N {
			tor.Write(chunk)
		}
	}()
	newRelay().down(io.Discard, or.(*net.TCPConn))
}
