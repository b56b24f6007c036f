package turbotunnel

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// controls gives both ends of a control stream.
func controls(t *testing.T) (client, server *Control) {
	t.Helper()
	a, b := net.Pipe()
	type result struct {
		c   *Control
		err error
	}
	ch := make(chan result, 1)
	go func() {
		c, err := OfferControl(b, time.Second)
		ch <- result{c, err}
	}()
	client, err := AcceptControl(a, time.Second)
	r := <-ch
	if err != nil || r.err != nil {
		t.Fatal(err, r.err)
	}
	t.Cleanup(func() { client.Close(); r.c.Close() })
	return client, r.c
}

func TestControlFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := controls(t)
		frames := []ControlFrame{
			{Kind: ControlRequest, ID: 1, Body: []byte("request")},
			{Kind: ControlRequest, ID: 0xffffffff, Body: bytes.Repeat([]byte("x"), MaxControlBody)},
			{Kind: ControlRequest, ID: 2},
			{Kind: ControlCanceled, ID: 1},
		}
		go func() {
			for _, f := range frames {
				if err := client.Send(f); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Hour) // between frames there is no limit
			}
			client.Close()
		}()
		for _, want := range frames {
			got, err := server.Next()
			if err != nil || got.Kind != want.Kind || got.ID != want.ID || !bytes.Equal(got.Body, want.Body) {
				t.Fatalf("got kind %d, id %d, %d bytes, %v", got.Kind, got.ID, len(got.Body), err)
			}
		}
		if _, err := server.Next(); err != io.EOF {
			t.Errorf("the end is %v", err)
		}
	})
}

func TestControlRefuses(t *testing.T) {
	for name, raw := range map[string]string{
		"giant":        "04" + "00000001" + "000186a1",
		"4 GiB":        "04" + "00000001" + "ffffffff",
		"kind":         "06" + "00000001" + "00000000",
		"kind 0":       "00" + "00000001" + "00000000",
		"body of none": "03" + "00000001" + "00000001" + "00",
	} {
		client, server := controls(t)
		b, err := hex.DecodeString(raw)
		if err != nil {
			t.Fatal(err)
		}
		go server.conn.Write(b)
		if f, err := client.Next(); !errors.Is(err, ErrControlFrame) {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
		client.Close()
	}
	client, _ := controls(t)
	if err := client.Send(ControlFrame{Kind: ControlRequest, Body: make([]byte, MaxControlBody+1)}); !errors.Is(err, ErrControlFrame) {
		t.Errorf("a giant was sent: %v", err)
	}
}

// An end within a frame is no end of a stream.
func TestControlCut(t *testing.T) {
	for _, raw := range []string{"\x04\x00", "\x04\x00\x00\x00\x01\x00\x00\x00\x02", "\x04\x00\x00\x00\x01\x00\x00\x00\x02x"} {
		client, server := controls(t)
		go func() { io.WriteString(server.conn, raw); server.Close() }()
		if _, err := client.Next(); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%q: %v", raw, err)
		}
	}
}

// What stalls within a frame, or does not take one, is given up.
func TestControlStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := controls(t)
		began := time.Now()
		go io.WriteString(server.conn, "\x04\x00\x00\x00\x01\x00\x00\x00\x02x")
		if _, err := client.Next(); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != frameTimeout {
			t.Errorf("half a frame: %v after %v", err, time.Since(began))
		}
		began = time.Now()
		err := client.Send(ControlFrame{Kind: ControlCanceled, ID: 1})
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != frameTimeout {
			t.Errorf("nobody reads: %v after %v", err, time.Since(began))
		}
		if _, err := server.Next(); err == nil {
			t.Error("the stream is still open")
		}
	})
}

func TestControlHello(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, said := range []string{"", "flurryr\x02", strings.Repeat("x", 100)} {
			a, b := net.Pipe()
			go func() {
				io.WriteString(b, said)
				io.Copy(io.Discard, b)
			}()
			began := time.Now()
			if _, err := AcceptControl(a, time.Second); err == nil || time.Since(began) > time.Second {
				t.Errorf("%q: %v after %v", said, err, time.Since(began))
			}
			if _, err := a.Write([]byte("x")); err == nil {
				t.Errorf("%q: the stream is open", said)
			}
			b.Close()
		}
		// The deployed client reads nothing and says nothing.
		a, b := net.Pipe()
		defer a.Close()
		if _, err := OfferControl(b, time.Second); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a silent client: %v", err)
		}
	})
}
