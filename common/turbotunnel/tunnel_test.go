package turbotunnel

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"flurry/common/carrier"
	"flurry/common/carrier/carriertest"
	"flurry/common/encapsulation"
	"flurry/common/multipath"
	"flurry/common/vectors"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

func TestPreludeVectors(t *testing.T) {
	vectors.Run(t, "tunnel", map[string]func(*testing.T, vectors.Case){
		"handshake": func(t *testing.T, c vectors.Case) {
			var in struct {
				ClientID string `json:"client_id_hex"`
			}
			var out struct{ Hex string }
			c.Decode(t, &in, &out)
			raw, err := hex.DecodeString(in.ClientID)
			if err != nil {
				t.Fatal(err)
			}
			id := ClientID(raw)
			a, b := carriertest.Pair(carriertest.Options{})
			defer a.Close()
			defer b.Close()
			if _, err := Attach(context.Background(), a, id); err != nil {
				t.Fatal(err)
			}
			a.Close()
			var sent []byte
			buf := make([]byte, 100)
			for {
				n, err := b.Recv(buf)
				if err != nil {
					break
				}
				sent = append(sent, buf[:n]...)
			}
			if got := hex.EncodeToString(sent); got != out.Hex {
				t.Errorf("sent %s, want %s", got, out.Hex)
			}
		},
		"capture":           testCapture,
		"websocket_capture": testWebSocketCapture,
	})
}

func TestAcceptRefusesStrangers(t *testing.T) {
	for what, c := range map[string]struct {
		sent string
		want error
	}{
		"nothing":       {"", io.EOF},
		"half":          {string(magic[:4]), io.ErrUnexpectedEOF},
		"no ClientID":   {string(magic[:]), io.ErrUnexpectedEOF},
		"another magic": {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", ErrBadMagic},
	} {
		a, b := carriertest.Pair(carriertest.Options{})
		if c.sent != "" {
			a.Send(context.Background(), []byte(c.sent))
		}
		a.Close()
		if _, _, err := Accept(context.Background(), b); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", what, err, c.want)
		}
		b.Close()
	}
}

func TestAcceptGivesUp(t *testing.T) {
	a, b := carriertest.Pair(carriertest.Options{})
	defer a.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := Accept(ctx, b); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	<-b.Done()
}

// joined returns both ends of a packet pipe.
func joined(t *testing.T) (client, server carrier.Conn, id ClientID) {
	t.Helper()
	a, b := carriertest.Pair(carriertest.Options{})
	id = NewClientID()
	client, err := Attach(context.Background(), a, id)
	if err != nil {
		t.Fatal(err)
	}
	got, server, err := Accept(context.Background(), b)
	if err != nil {
		t.Fatal(err)
	}
	if got != id {
		t.Fatalf("ClientID %v became %v", id, got)
	}
	return client, server, id
}

func TestBatches(t *testing.T) {
	a, b, _ := joined(t)
	defer a.Close()
	defer b.Close()
	var batch [][]byte
	for i := range 40 {
		batch = append(batch, bytes.Repeat([]byte{byte(i)}, 1+i*35))
	}
	if err := a.(carrier.BatchSender).SendBatch(context.Background(), batch); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, MaxPacket)
	for i, want := range batch {
		n, err := b.Recv(buf)
		if err != nil || !bytes.Equal(buf[:n], want) {
			t.Fatalf("packet %d: %d bytes, %v", i, n, err)
		}
	}
	if err := a.Send(context.Background(), make([]byte, MaxPacket+1)); !errors.Is(err, carrier.ErrTooLong) {
		t.Errorf("oversized packet: %v", err)
	}
}

// TestPaddingAndOversizedPackets sends what a peer may that is not us.
func TestPaddingAndOversizedPackets(t *testing.T) {
	a, b := carriertest.Pair(carriertest.Options{})
	defer a.Close()
	stream := AppendPrelude(nil, ClientID{1})
	stream = encapsulation.AppendPadding(stream, 2000)
	stream, _ = encapsulation.AppendData(stream, make([]byte, 5000))
	stream, _ = encapsulation.AppendData(stream, []byte("good"))
	a.Send(context.Background(), stream)
	_, p, err := Accept(context.Background(), b)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	buf := make([]byte, MaxPacket)
	if n, err := p.Recv(buf); err != nil || string(buf[:n]) != "good" {
		t.Errorf("got %q, %v", buf[:n], err)
	}
}

// over returns a conversation over one packet pipe.
func over(c carrier.Conn, o multipath.Options) *multipath.Conn {
	conn := multipath.New(o)
	conn.Add(c)
	return conn
}

// converse waits for a conversation to begin and returns the bridge's end.
func converse(t *testing.T, c carrier.Conn) *Session {
	t.Helper()
	conn := over(c, multipath.Options{Accept: true})
	select {
	case <-conn.Begun():
	case <-time.After(30 * time.Second):
		t.Fatal("no data came")
	}
	s, err := Server(conn, ServerTuning())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStreams(t *testing.T) {
	a, b, _ := joined(t)
	c, err := Client(over(a, multipath.Options{}), ClientTuning())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	bridge := make(chan *Session, 1)
	var echoes sync.WaitGroup
	echoes.Go(func() {
		s := converse(t, b)
		bridge <- s
		echo(s)
	})
	defer func() {
		(<-bridge).Close()
		echoes.Wait()
	}()
	for i, size := range []int{1, 1000, 3 << 20} {
		st, err := c.OpenStream(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		want := vectors.Payload(i, size)
		go st.Write(want)
		h := sha256.New()
		if _, err := io.CopyN(h, st, int64(size)); err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(want); !bytes.Equal(h.Sum(nil), sum[:]) {
			t.Errorf("%d bytes came back changed", size)
		}
		st.Close()
	}
	c.Close()
	<-c.Done()
	if _, err := c.OpenStream(context.Background()); err == nil {
		t.Error("a closed session opened a stream")
	}
}

// echo serves every stream of one session.
func echo(s *Session) {
	var streams sync.WaitGroup
	defer streams.Wait()
	defer s.Close()
	for {
		st, err := s.AcceptStream()
		if err != nil {
			return
		}
		streams.Go(func() {
			defer st.Close()
			io.Copy(st, st)
		})
	}
}

func TestOpenStreamGivesUp(t *testing.T) {
	a, b, _ := joined(t)
	defer b.Close()
	s, err := Client(over(a, multipath.Options{}), ClientTuning())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if st, err := s.OpenStream(ctx); err == nil {
		st.Close() // it was open before ctx was looked at
	} else if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func BenchmarkPackets(b *testing.B) {
	x, y := carriertest.Pair(carriertest.Options{})
	defer x.Close()
	defer y.Close()
	id := NewClientID()
	px, err := Attach(context.Background(), x, id)
	if err != nil {
		b.Fatal(err)
	}
	_, py, err := Accept(context.Background(), y)
	if err != nil {
		b.Fatal(err)
	}
	go func() {
		buf := make([]byte, MaxPacket)
		for {
			if _, err := py.Recv(buf); err != nil {
				return
			}
		}
	}()
	batch := make([][]byte, 11)
	for i := range batch {
		batch[i] = make([]byte, MaxPacket)
	}
	b.SetBytes(int64(len(batch) * MaxPacket))
	b.ReportAllocs()
	for b.Loop() {
		if err := px.(carrier.BatchSender).SendBatch(context.Background(), batch); err != nil {
			b.Fatal(err)
		}
	}
}
