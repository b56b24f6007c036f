package turbotunnel

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"testing"

	"flurry/common/carrier"
	"flurry/common/carrier/carriertest"
	"flurry/common/encapsulation"
	"flurry/common/vectors"
)

// ends joins a lossy carrier of the client's with a stream carrier of the
// server's as a proxy does that sends every message through hand on.
func ends(t *testing.T, up, down func(msg []byte) [][]byte) (client, server carrier.Conn) {
	t.Helper()
	near, a := carriertest.Pair(carriertest.Options{Datagram: true, Capacity: 1000})
	b, far := carriertest.Pair(carriertest.Options{Capacity: 1000})
	done := make(chan struct{}, 2)
	pump := func(dst, src carrier.Conn, through func([]byte) [][]byte) {
		defer func() { done <- struct{}{} }()
		defer dst.Close()
		buf := make([]byte, 65535)
		for {
			n, err := src.Recv(buf)
			if err != nil {
				return
			}
			for _, m := range through(bytes.Clone(buf[:n])) {
				if dst.Send(context.Background(), m) != nil {
					return
				}
			}
		}
	}
	go pump(b, a, up)
	go pump(a, b, down)
	t.Cleanup(func() {
		near.Close()
		far.Close()
		<-done
		<-done
	})
	return near, far
}

func asIs(msg []byte) [][]byte { return [][]byte{msg} }

func inTwo(msg []byte) [][]byte {
	return [][]byte{msg[:len(msg)/2], msg[len(msg)/2:]}
}

// inPairs joins every two messages.
func inPairs() func([]byte) [][]byte {
	var first []byte
	return func(msg []byte) [][]byte {
		if first == nil {
			first = msg
			return nil
		}
		both := append(first, msg...)
		first = nil
		return [][]byte{both}
	}
}

// lossy joins Attach and Accept through such a proxy.
func lossy(t *testing.T, up, down func([]byte) [][]byte) (client, server carrier.Conn) {
	t.Helper()
	near, far := ends(t, up, down)
	id := NewClientID()
	client, err := Attach(context.Background(), near, id)
	if err != nil {
		t.Fatal(err)
	}
	got, server, err := Accept(context.Background(), far)
	if err != nil || got != id {
		t.Fatalf("ClientID %v came as %v, %v", id, got, err)
	}
	return client, server
}

// somePackets are of all sizes, the largest last; none is empty.
func somePackets(n int) (packets [][]byte) {
	for i := range n {
		packets = append(packets, vectors.Payload(i, 1+i*(MaxPacket-1)/max(n-1, 1)))
	}
	return packets
}

func recvAll(t *testing.T, c carrier.Conn, want [][]byte) {
	t.Helper()
	buf := make([]byte, MaxPacket)
	for i, w := range want {
		n, err := c.Recv(buf)
		if err != nil || !bytes.Equal(buf[:n], w) {
			t.Fatalf("packet %d of %d bytes: %d bytes, %v", i, len(w), n, err)
		}
	}
}

// Packets pass both ways, alone and in batches, whatever the proxy joins.
func TestDatagramsBothWays(t *testing.T) {
	all := somePackets(60)
	for name, c := range map[string]struct {
		down  func([]byte) [][]byte
		batch [][]byte
	}{
		"as they are": {asIs, all},
		"joined down": {inPairs(), all[:40]}, // two still fit one message
	} {
		t.Run(name, func(t *testing.T) {
			client, server := lossy(t, asIs, c.down)
			batch := c.batch
			for _, c := range []carrier.Conn{client, server} {
				got := c.Traits()
				got.Kind = ""
				if want := (carrier.Traits{Lossy: true, MaxMessage: MaxPacket, Fit: 1140}); got != want {
					t.Errorf("%+v, want %+v", got, want)
				}
			}
			for _, pair := range [][2]carrier.Conn{{client, server}, {server, client}} {
				if err := pair[0].(carrier.BatchSender).SendBatch(context.Background(), batch); err != nil {
					t.Fatal(err)
				}
				recvAll(t, pair[1], batch)
				for _, p := range batch {
					if err := pair[0].Send(context.Background(), p); err != nil {
						t.Fatal(err)
					}
				}
				recvAll(t, pair[1], batch)
				if err := pair[0].Send(context.Background(), make([]byte, MaxPacket+1)); !errors.Is(err, carrier.ErrTooLong) {
					t.Errorf("oversized packet: %v", err)
				}
			}
		})
	}
}

// fitting is a carrier that says what fits one packet, keeps what it is sent, and
// has one message to give.
type fitting struct {
	carrier.Conn
	fit  int
	sent [][]byte

	incoming []byte // what Recv gives before the end
}

func (f *fitting) Recv(buf []byte) (int, error) {
	n := copy(buf, f.incoming)
	if f.incoming = f.incoming[n:]; n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (f *fitting) Traits() carrier.Traits {
	return carrier.Traits{Lossy: true, MaxMessage: 2048, Fit: f.fit}
}
func (f *fitting) Send(_ context.Context, m []byte) error {
	f.sent = append(f.sent, bytes.Clone(m))
	return nil
}

// Every message up has the head, and small packets share one that still fits.
func TestDatagramsFit(t *testing.T) {
	f := &fitting{fit: 1156}
	c, err := Attach(context.Background(), f, ClientID{1, 2, 3})
	if err != nil {
		t.Fatal(err)
	}
	fit := c.Traits().Fit
	if err := c.Send(context.Background(), make([]byte, fit)); err != nil {
		t.Fatal(err)
	}
	acks := slices.Repeat([][]byte{make([]byte, 48)}, 100)
	if err := c.(carrier.BatchSender).SendBatch(context.Background(), append(acks, make([]byte, fit))); err != nil {
		t.Fatal(err)
	}
	packets := 0
	for _, m := range f.sent {
		if len(m) > f.fit {
			t.Errorf("a message of %d bytes", len(m))
		}
		if id, ok := readHead(m); !ok || id != (ClientID{1, 2, 3}) {
			t.Errorf("message begins %x", m[:min(len(m), headLen)])
		}
		for rest := m[headLen:]; len(rest) > 0; packets++ {
			_, rest, _, _ = encapsulation.Cut(rest)
		}
	}
	if len(f.sent[0]) != headLen || len(f.sent[1]) != f.fit || packets != 102 || len(f.sent) > 8 {
		t.Errorf("%d messages with %d packets, the first of %d and %d bytes", len(f.sent), packets, len(f.sent[0]), len(f.sent[1]))
	}
}

// What a client sends by message reads as a stream too, so that deployed
// servers understand it: without some of the messages, in another order,
// joined and cut.
func TestDatagramsReadAsStream(t *testing.T) {
	f := &fitting{fit: 1156}
	c, err := Attach(context.Background(), f, ClientID{1, 2, 3})
	if err != nil {
		t.Fatal(err)
	}
	batch := somePackets(20)
	for _, p := range batch {
		c.Send(context.Background(), p)
	}
	var stream []byte
	var want [][]byte
	for i := len(f.sent) - 1; i > 0; i-- { // backwards, the first lost and every third after it
		if i%3 != 0 {
			stream = append(stream, f.sent[i]...)
			want = append(want, batch[i-1])
		}
	}
	if got := unframe(t, stream[preludeLen:], 100); !slices.EqualFunc(got, want, bytes.Equal) {
		t.Errorf("%d packets, want %d", len(got), len(want))
	}
}

// A volunteer that cuts messages is found out soon, at whichever end they
// arrive cut, and the carrier is told.
func TestCutMessagesAreNoticed(t *testing.T) {
	n := 0
	everyThird := func(msg []byte) [][]byte { // as the deployed proxy does down
		if n++; n%3 == 0 {
			return inTwo(msg)
		}
		return asIs(msg)
	}
	for name, c := range map[string]struct {
		cut   func([]byte) [][]byte
		limit int // packets until it must be noticed
	}{
		"all": {inTwo, 10}, "every third": {everyThird, 60},
	} {
		t.Run(name, func(t *testing.T) {
			near, far := ends(t, asIs, c.cut)
			watched := &edgeWatcher{Conn: near}
			client, err := Attach(context.Background(), watched, NewClientID())
			if err != nil {
				t.Fatal(err)
			}
			_, server, err := Accept(context.Background(), far)
			if err != nil {
				t.Fatal(err)
			}
			for i := range c.limit {
				server.Send(context.Background(), vectors.Payload(i, 1000))
			}
			buf := make([]byte, MaxPacket)
			for err == nil {
				_, err = client.Recv(buf)
			}
			_, again := client.Recv(buf)
			if err != ErrEdges || again != ErrEdges || client.Err() != ErrEdges || watched.told != 1 {
				t.Errorf("%v, then %v and %v; told %d times", err, again, client.Err(), watched.told)
			}
		})
	}
	t.Run("up", func(t *testing.T) {
		whole := true
		client, server := lossy(t, func(msg []byte) [][]byte {
			if whole { // the first must tell the server how the client frames
				whole = false
				return asIs(msg)
			}
			return inTwo(msg)
		}, asIs)
		for i := range 10 {
			client.Send(context.Background(), vectors.Payload(i, 1000))
		}
		if n, err := server.Recv(make([]byte, MaxPacket)); err != ErrEdges {
			t.Errorf("got %d bytes, %v", n, err)
		}
	})
}

type edgeWatcher struct {
	carrier.Conn
	told int
}

func (w *edgeWatcher) EdgesLost() { w.told++ }

// A few damaged messages are dropped, and so is another client's.
func TestStrayMessagesAreDropped(t *testing.T) {
	client, server := lossy(t, asIs, asIs)
	raw := client.(*datagrams).Conn
	other := append(AppendPrelude(nil, ClientID{9}), filler...)
	good := append(bytes.Clone(client.(*datagrams).head), 0x81)
	for i := range 50 {
		for _, stray := range [][]byte{append(other, 0x81, 1), append(good, 1, 0x85, 1), []byte("hello"), good} {
			if i%5 == 0 {
				raw.Send(context.Background(), stray)
				continue
			}
			client.Send(context.Background(), []byte{byte(i)})
		}
	}
	buf := make([]byte, MaxPacket)
	for i := range 50 {
		for range 4 {
			if i%5 == 0 {
				continue
			}
			if n, err := server.Recv(buf); err != nil || n != 1 || buf[0] != byte(i) {
				t.Fatalf("packet %d: %x, %v", i, buf[:n], err)
			}
		}
	}
}

// A client that frames its bytes as a stream is a stream client however they
// are cut, and be its padding what it may, but for the very bytes of the head.
func TestStreamClientsStayStreams(t *testing.T) {
	id := ClientID{1}
	packet, _ := encapsulation.AppendData(nil, []byte("packet"))
	for _, padding := range []int{0, 1, 2, 4, 2000} {
		stream := append(encapsulation.AppendPadding(AppendPrelude(nil, id), padding), packet...)
		for cut := 1; cut <= len(stream); cut++ {
			a, b := carriertest.Pair(carriertest.Options{Capacity: len(stream)})
			for piece := range slices.Chunk(stream, cut) {
				a.Send(context.Background(), piece)
			}
			a.Close()
			got, p, err := Accept(context.Background(), b)
			if err != nil || got != id || p.Traits().Lossy {
				t.Fatalf("padding %d, pieces of %d: %v, %v, %+v", padding, cut, got, err, p.Traits())
			}
			buf := make([]byte, MaxPacket)
			if n, err := p.Recv(buf); err != nil || string(buf[:n]) != "packet" {
				t.Fatalf("padding %d, pieces of %d: %q, %v", padding, cut, buf[:n], err)
			}
			if _, err := p.Recv(buf); err != io.EOF {
				t.Fatalf("padding %d, pieces of %d: %v at the end", padding, cut, err)
			}
			p.Close()
		}
	}
}

func TestToll(t *testing.T) {
	for _, c := range []struct {
		name  string
		cycle []verdict
		pays  bool
	}{
		{"all whole", []verdict{whole}, true},
		{"one in ten malformed", append(slices.Repeat([]verdict{whole}, 9), malformed), true},
		{"every third cut in two", []verdict{whole, whole, malformed, malformed}, false},
		{"every third cut in two, of zeros", []verdict{whole, whole, malformed, empty}, false},
		{"all malformed", []verdict{malformed}, false},
		{"padding", []verdict{empty}, true},
	} {
		var tl toll
		ok := true
		for i := range 10_000 {
			ok = ok && tl.pay(c.cycle[i%len(c.cycle)])
		}
		if ok != c.pays {
			t.Errorf("%s: pays %v", c.name, ok)
		}
	}
}
