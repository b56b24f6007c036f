package ws

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// What is written while the connection takes nothing leaves as one.
func TestWireGathers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		w := newWire(near)
		for _, s := range []string{"a", "b", "c"} {
			w.Write([]byte(s))
			synctest.Wait()
		}
		if n := w.waiting(); n != 3 {
			t.Errorf("%d bytes wait in place of 3", n)
		}
		buf := make([]byte, 9)
		for _, want := range []string{"a", "bc"} {
			n, err := far.Read(buf)
			if err != nil || string(buf[:n]) != want {
				t.Errorf("read %q, %v in place of %q", buf[:n], err, want)
			}
		}
		synctest.Wait()
		if n := w.waiting(); n != 0 || w.queue != nil {
			t.Errorf("%d bytes wait at the end", n)
		}
		w.Close()
	})
}

func TestWireIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, _ := net.Pipe()
		w := newWire(near)
		written := 0
		ended := make(chan error)
		go func() {
			for {
				n, err := w.Write(make([]byte, 1000))
				if err != nil {
					ended <- err
					return
				}
				written += n
			}
		}()
		synctest.Wait()
		if written > 2*writeQueue || written < writeQueue {
			t.Errorf("%d bytes were taken", written)
		}
		began := time.Now()
		w.finish()
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		if d := time.Since(began); d != closeLimit {
			t.Errorf("closed after %v", d)
		}
	})
}

func TestWireLetsLastWordsLeave(t *testing.T) {
	near, far := net.Pipe()
	w := newWire(near)
	w.Write([]byte("good"))
	w.Write([]byte("bye"))
	go w.finish()
	if got, err := io.ReadAll(far); string(got) != "goodbye" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// The WebSocket library closes the connection with a mutex held, and waits for
// its reader: neither may take time, however much is still to be written.
func TestWireCloseDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, _ := net.Pipe()
		w := newWire(near)
		w.Write([]byte("nobody reads this"))
		read := make(chan error, 1)
		go func() {
			_, err := w.Read(make([]byte, 1))
			read <- err
		}()
		synctest.Wait()
		began := time.Now()
		w.Close()
		w.SetDeadline(began.Add(time.Minute))
		if err := <-read; err == nil {
			t.Error("read something")
		}
		if d := time.Since(began); d != 0 {
			t.Errorf("closed after %v", d)
		}
		w.finish()
		if d := time.Since(began); d != closeLimit {
			t.Errorf("finished after %v", d)
		}
	})
}

func TestWireTellsOfFailure(t *testing.T) {
	near, _ := net.Pipe()
	w := newWire(near)
	w.SetWriteDeadline(time.Unix(1, 0))
	var err error
	for range 1000 {
		if _, err = w.Write(make([]byte, 1000)); err != nil {
			break
		}
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
	w.Close()
}

// scripted gives what is in chunks, one with each Read.
type scripted struct {
	net.Conn
	chunks [][]byte
	reads  int
}

func (s *scripted) Read(p []byte) (int, error) {
	s.reads++
	if len(s.chunks) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.chunks[0])
	if s.chunks[0] = s.chunks[0][n:]; len(s.chunks[0]) == 0 {
		s.chunks = s.chunks[1:]
	}
	return n, nil
}

func TestWireReadsAhead(t *testing.T) {
	all := bytes.Repeat([]byte("0123456789"), 3000)
	s := &scripted{chunks: [][]byte{all}}
	w := newWire(s)
	var got []byte
	for buf := make([]byte, 100); ; {
		n, err := w.Read(buf)
		got = append(got, buf[:n]...)
		if err == io.EOF {
			break
		}
	}
	if !bytes.Equal(got, all) {
		t.Error("bytes are missing or changed")
	}
	if s.reads > 4 { // one small, one large, a small one and the end
		t.Errorf("%d reads", s.reads)
	}
	if w.ahead != nil {
		t.Error("keeps a buffer that is empty")
	}
}
