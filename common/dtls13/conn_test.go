package dtls13

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

// connected returns both ends of a connection.
func connected(t testing.TB, client, server Config) (c, s *Conn) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testLimit)
	defer cancel()
	a, b := newPipe()
	done := make(chan error, 1)
	go func() {
		var err error
		s, err = Server(ctx, b, server)
		done <- err
	}()
	c, err := Client(ctx, a, client)
	if other := <-done; err != nil || other != nil {
		t.Fatal(err, other)
	}
	t.Cleanup(func() {
		c.Close()
		s.Close()
	})
	return c, s
}

func TestConn(t *testing.T) {
	eachPair(t, func(t *testing.T, client, server Config) {
		c, s := connected(t, client, server)
		pass(t, c, s)
		pass(t, s, c)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if _, err := s.Read(make([]byte, 10)); !errors.Is(err, io.EOF) {
			t.Errorf("after close_notify: %v", err)
		}
		if _, err := c.Read(make([]byte, 10)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("read after Close: %v", err)
		}
		if _, err := c.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("write after Close: %v", err)
		}
	})
}

// Keys change under data that flows both ways.
func TestUpdateKeys(t *testing.T) {
	c, s := connected(t, testConfig(t, Chromium()), testConfig(t, Chromium()))
	var readers sync.WaitGroup
	const messages = 2000
	for _, conn := range []*Conn{c, s} {
		readers.Go(func() {
			buf := make([]byte, 100)
			for i := range messages {
				n, err := conn.Read(buf)
				if err != nil || !bytes.Equal(buf[:n], []byte{byte(i), byte(i >> 8)}) {
					t.Errorf("message %d came as %x, %v", i, buf[:n], err)
					return
				}
			}
		})
	}
	for i := range messages {
		for _, conn := range []*Conn{c, s} {
			if i%100 == 50 {
				conn.UpdateKeys(i%200 == 50)
			}
			if _, err := conn.Write([]byte{byte(i), byte(i >> 8)}); err != nil {
				t.Fatal(err)
			}
		}
		if i%50 == 0 {
			time.Sleep(time.Millisecond) // The pipe loses what does not fit.
		}
	}
	readers.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if epoch := c.m.keys.current().epoch; epoch < 5 {
		t.Errorf("client still writes in epoch %d", epoch)
	}
}

func TestDeadlinesAndErrors(t *testing.T) {
	c, s := connected(t, testConfig(t, Firefox()), testConfig(t, Chromium()))
	c.SetReadDeadline(time.Now().Add(time.Millisecond))
	if _, err := c.Read(make([]byte, 10)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read beyond the deadline: %v", err)
	}
	c.SetReadDeadline(time.Time{})
	for _, text := range []string{"too long for it", "fits"} {
		if _, err := s.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	buf := make([]byte, 5)
	if _, err := c.Read(buf); !errors.Is(err, io.ErrShortBuffer) {
		t.Errorf("short buffer: %v", err)
	}
	if n, err := c.Read(buf); err != nil || string(buf[:n]) != "fits" {
		t.Errorf("after a short buffer: %q, %v", buf[:n], err)
	}
	if _, err := c.Write(make([]byte, maxPayload+1)); err == nil {
		t.Error("a payload larger than a record was taken")
	}
}

func TestWrongFingerprint(t *testing.T) {
	wrong := errors.New("not the fingerprint of the SDP")
	for _, client := range []bool{true, false} {
		ctx, cancel := context.WithTimeout(t.Context(), testLimit)
		a, b := newPipe()
		strict, other := testConfig(t, Chromium()), testConfig(t, Chromium())
		strict.VerifyPeer = func([]byte) error { return wrong }
		shake, counter := Client, Server
		if !client {
			shake, counter = Server, Client
		}
		done := make(chan error, 1)
		go func() {
			c, err := counter(ctx, b, other)
			if err == nil { // A client of 1.3 is done before the server judges it.
				_, err = c.Read(make([]byte, 10))
				c.Close()
			}
			done <- err
		}()
		if _, err := shake(ctx, a, strict); !errors.Is(err, wrong) {
			t.Errorf("client %v: %v", client, err)
		}
		var alert PeerError
		if err := <-done; !errors.As(err, &alert) || alert.Description != uint8(alertBadCertificate) {
			t.Errorf("the peer of client %v: %v", client, err)
		}
		cancel()
	}
}

func TestContext(t *testing.T) {
	a, _ := newPipe()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := Client(ctx, a, testConfig(t, Chromium())); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("client without a server: %v", err)
	}
}

// A batching is a transport that takes several datagrams at once.
type batching struct {
	*pipeEnd
	calls int
}

func (b *batching) WriteBatch(packets [][]byte) (int, error) {
	b.calls++
	for i, p := range packets {
		if _, err := b.Write(p); err != nil {
			return i, err
		}
	}
	return len(packets), nil
}

// A batch arrives as one message for each packet, whether or not the transport
// takes batches.
func TestWriteBatch(t *testing.T) {
	for _, whole := range []bool{true, false} {
		c, s := connected(t, testConfig(t, Chromium()), testConfig(t, Chromium()))
		end, ok := c.transport.(*pipeEnd)
		if !ok {
			t.Fatal("no pipe")
		}
		b := &batching{pipeEnd: end}
		if whole {
			c.transport = b
		}
		packets := [][]byte{[]byte("one"), bytes.Repeat([]byte{2}, 1200), {}, []byte("four")}
		if n, err := c.WriteBatch(packets); n != len(packets) || err != nil {
			t.Fatal(n, err)
		}
		buf := make([]byte, 1500)
		for i, p := range packets {
			if n, err := s.Read(buf); err != nil || !bytes.Equal(buf[:n], p) {
				t.Errorf("packet %d came as %x, %v", i, buf[:n], err)
			}
		}
		if want := map[bool]int{true: 1}[whole]; b.calls != want {
			t.Errorf("%d calls, want %d", b.calls, want)
		}
	}
}
