package interop

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// A tee passes TCP connections on and keeps the first bytes that each client sends.
type tee struct {
	ln net.Listener
	to string
	wg sync.WaitGroup

	// guarded by mu
	mu    sync.Mutex
	heads [][]byte
	conns map[net.Conn]bool
}

// keptHead is more than any ClientHello.
const keptHead = 1 << 14

// startTee listens before the address to, until the test ends.
func startTee(t *testing.T, to string) *tee {
	t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &tee{ln: ln, to: to, conns: map[net.Conn]bool{}}
	e.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			e.wg.Go(func() { e.pass(c) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		e.mu.Lock()
		for c := range e.conns {
			c.Close()
		}
		e.mu.Unlock()
		e.wg.Wait()
	})
	return e
}

// port is where clients come.
func (e *tee) port() int { return e.ln.Addr().(*net.TCPAddr).Port }

func (e *tee) pass(c net.Conn) {
	defer c.Close()
	up, err := net.DialTimeout("tcp", e.to, 10*time.Second)
	if err != nil {
		return
	}
	defer up.Close()
	e.mu.Lock()
	e.conns[c], e.conns[up] = true, true
	n := len(e.heads)
	e.heads = append(e.heads, nil)
	e.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.Copy(c, up) //nolint:errcheck // Either way it is over.
		c.Close()
	}()
	io.Copy(up, io.TeeReader(c, headKeeper{e, n})) //nolint:errcheck // The same.
	up.Close()
	<-done
	e.mu.Lock()
	delete(e.conns, c)
	delete(e.conns, up)
	e.mu.Unlock()
}

// A headKeeper keeps the first bytes of the n-th connection.
type headKeeper struct {
	*tee
	n int
}

func (h headKeeper) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.heads[h.n] = append(h.heads[h.n], p[:min(len(p), keptHead-len(h.heads[h.n]))]...)
	return len(p), nil
}

// takeHeads returns the first bytes of the connections since the last call.
func (e *tee) takeHeads() [][]byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	heads := e.heads
	for i := range heads {
		heads[i] = append([]byte(nil), heads[i]...)
	}
	e.heads = make([][]byte, len(heads)) // Connections that are open go on writing to theirs.
	var some [][]byte
	for _, h := range heads {
		if len(h) > 0 && h[0] == recordHandshake {
			some = append(some, h)
		}
	}
	return some
}

// TLS record and message types, RFC 8446 sections 5.1 and 4.
const (
	recordHandshake    = 22
	messageClientHello = 1
)

// helloMessage takes the ClientHello, with its message header, out of the first records of a connection.
func helloMessage(head []byte) ([]byte, error) {
	var message []byte
	for len(head) >= 5 && head[0] == recordHandshake {
		n := int(binary.BigEndian.Uint16(head[3:]))
		if len(head) < 5+n {
			break
		}
		message = append(message, head[5:5+n]...)
		head = head[5+n:]
		if len(message) >= 4 {
			size := 4 + int(message[1])<<16 + int(message[2])<<8 + int(message[3])
			if message[0] != messageClientHello {
				return nil, fmt.Errorf("message type %d", message[0])
			}
			if len(message) >= size {
				return message[:size], nil
			}
		}
	}
	return nil, errors.New("no whole ClientHello")
}
