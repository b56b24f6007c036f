package carriertest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"flurry/common/carrier"
)

// patience bounds every wait of the suite: it only ends a test that has failed.
const patience = 2 * time.Minute

// Check runs the contract of carrier.Conn against pairs made by dial. The suite
// closes what dial returns.
func Check(t *testing.T, dial func(t *testing.T) (a, b carrier.Conn)) {
	t.Helper()
	for name, f := range map[string]func(*testing.T, carrier.Conn, carrier.Conn){
		"BothWays":     checkBothWays,
		"KeepsNothing": checkKeepsNothing,
		"TooLong":      checkTooLong,
		"ShortBuffer":  checkShortBuffer,
		"CleanEnd":     checkCleanEnd,
		"CloseFrees":   checkCloseFrees,
		"CloseTwice":   checkCloseTwice,
		"CancelSend":   checkCancelSend,
		"Backpressure": checkBackpressure,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := dial(t)
			defer a.Close()
			defer b.Close()
			f(t, a, b)
		})
	}
}

func pattern(n, seed int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(seed + 7*i + i/256)
	}
	return p
}

// readBytes collects n bytes from c, whatever the message edges.
func readBytes(c carrier.Conn, n int) ([]byte, error) {
	var got []byte
	buf := make([]byte, 65536)
	for len(got) < n {
		k, err := c.Recv(buf)
		if err != nil {
			return got, err
		}
		got = append(got, buf[:k]...)
	}
	return got, nil
}

func within(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("%s did not come to an end", what)
	}
}

func checkBothWays(t *testing.T, a, b carrier.Conn) {
	within(t, "exchange", func() {
		for i, size := range []int{1, 8, 1400, 2048, 16384} {
			size = min(size, a.Traits().MaxMessage)
			for _, pair := range [][2]carrier.Conn{{a, b}, {b, a}} {
				want := pattern(size, i)
				if err := pair[0].Send(context.Background(), want); err != nil {
					t.Errorf("Send %d bytes: %v", size, err)
					return
				}
				got, err := readBytes(pair[1], size)
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("%d bytes: got %d bytes, %v", size, len(got), err)
					return
				}
			}
		}
	})
}

func checkKeepsNothing(t *testing.T, a, b carrier.Conn) {
	msg := pattern(1000, 1)
	want := bytes.Clone(msg)
	if err := a.Send(context.Background(), msg); err != nil {
		t.Fatal(err)
	}
	for i := range msg {
		msg[i] = 0xee
	}
	within(t, "Recv", func() {
		if got, err := readBytes(b, len(want)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("Send kept the caller's slice: %v", err)
		}
	})
}

func checkTooLong(t *testing.T, a, b carrier.Conn) {
	within(t, "exchange", func() {
		if err := a.Send(context.Background(), make([]byte, a.Traits().MaxMessage+1)); !errors.Is(err, carrier.ErrTooLong) {
			t.Errorf("oversized Send: %v, want ErrTooLong", err)
		}
		if err := a.Send(context.Background(), []byte("still here")); err != nil {
			t.Errorf("Send after an oversized one: %v", err)
			return
		}
		if got, err := readBytes(b, 10); err != nil || string(got) != "still here" {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

func checkShortBuffer(t *testing.T, a, b carrier.Conn) {
	if !a.Traits().Stream {
		return // then the rest of a message is lost
	}
	want := pattern(3000, 5)
	if err := a.Send(context.Background(), want); err != nil {
		t.Fatal(err)
	}
	within(t, "Recv", func() {
		var got []byte
		buf := make([]byte, 700)
		for len(got) < len(want) {
			n, err := b.Recv(buf)
			if err != nil {
				t.Errorf("after %d bytes: %v", len(got), err)
				return
			}
			got = append(got, buf[:n]...)
		}
		if !bytes.Equal(got, want) {
			t.Error("a divided message arrived changed")
		}
	})
}

func checkCleanEnd(t *testing.T, a, b carrier.Conn) {
	within(t, "end", func() {
		last := pattern(min(5000, a.Traits().MaxMessage), 9)
		if err := a.Send(context.Background(), last); err != nil {
			t.Error(err)
			return
		}
		if err := a.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		got, err := readBytes(b, len(last))
		if err != nil || !bytes.Equal(got, last) {
			t.Errorf("what was sent before Close: %d bytes, %v", len(got), err)
		}
		if _, err := b.Recv(make([]byte, 65536)); err != io.EOF {
			t.Errorf("Recv after the other end closed: %v, want io.EOF", err)
		}
		<-b.Done()
		if b.Err() != io.EOF {
			t.Errorf("Err after a clean end: %v, want io.EOF", b.Err())
		}
	})
}

func checkCloseFrees(t *testing.T, a, b carrier.Conn) {
	errs := make(chan error, 1)
	go func() {
		_, err := a.Recv(make([]byte, 65536))
		errs <- err
	}()
	within(t, "Close", func() {
		a.Close()
		if err := <-errs; err == nil {
			t.Error("Recv on a closed Conn gave no error")
		}
		<-a.Done()
		if a.Err() == nil {
			t.Error("Err is nil after Close")
		}
		if err := a.Send(context.Background(), []byte("x")); err == nil {
			t.Error("Send on a closed Conn gave no error")
		}
	})
}

func checkCloseTwice(t *testing.T, a, b carrier.Conn) {
	within(t, "Close", func() {
		a.Close()
		a.Close()
		b.Close()
		b.Close()
	})
}

func checkCancelSend(t *testing.T, a, b carrier.Conn) {
	ctx, cancel := context.WithCancel(context.Background())
	errs := make(chan error, 1)
	started := make(chan struct{})
	go func() {
		close(started)
		msg := make([]byte, 16384)
		for {
			if err := a.Send(ctx, msg); err != nil {
				errs <- err
				return
			}
		}
	}()
	<-started
	cancel()
	within(t, "cancelled Send", func() {
		if err := <-errs; err == nil {
			t.Error("no error")
		}
	})
}

// checkBackpressure floods a pipe whose other end reads nothing: Send must
// block before memory is eaten, and go on when the reader comes. What a lossy
// pipe delivers then is its own affair.
func checkBackpressure(t *testing.T, a, b carrier.Conn) {
	const total, limit = 24 << 20, 16 << 20
	sent := make(chan int, 1)
	progress := make(chan int, 1)
	go func() {
		n, msg := 0, pattern(min(16384, a.Traits().MaxMessage), 3)
		for n < total {
			if err := a.Send(context.Background(), msg); err != nil {
				break
			}
			n += len(msg)
			select {
			case <-progress:
			default:
			}
			progress <- n
		}
		sent <- n
	}()
	n := 0
	for quiet := false; !quiet; {
		select {
		case n = <-progress:
		case <-time.After(500 * time.Millisecond):
			quiet = true
		case n = <-sent:
			t.Fatalf("Send accepted %d bytes that nobody read", n)
		}
	}
	if n > limit {
		t.Errorf("%d bytes are under way unread: no backpressure", n)
	}
	if a.Traits().Lossy {
		go readBytes(b, total) // until the pipe is closed
		within(t, "sending", func() { <-sent })
		return
	}
	within(t, "transfer", func() {
		if got, err := readBytes(b, total); err != nil {
			t.Errorf("after %d bytes: %v", len(got), err)
		}
	})
}
