package stage

import (
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

func TestFlowDownloadsAndEchoes(t *testing.T) {
	ctx := testContext(t)
	w, err := startWeb(ctx, loopback{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	c, err := net.Dial("tcp", w.Addr())
	if err != nil {
		t.Fatal(err)
	}
	f, err := NewFlow(ctx, c, 7)
	if err != nil {
		t.Fatal(err)
	}
	for sum := int64(0); sum < 1_500_000; {
		sum += 500_000
		if err := f.Get(500_000); err != nil {
			t.Fatal(err)
		}
		if took, err := f.Echo(ctx); err != nil || took <= 0 {
			t.Errorf("echo after %v: %v", took, err)
		}
		if err := f.Wait(ctx); err != nil {
			t.Fatal(err)
		}
		if f.Received() != sum {
			t.Errorf("received %d bytes, want %d", f.Received(), sum)
		}
	}
	f.Close()
	if _, err := f.Echo(ctx); err == nil {
		t.Error("a closed flow echoes")
	}
	if err := poll(ctx, func() (bool, error) { return w.Open() == 0, nil }); err != nil {
		t.Errorf("%d connections left: %v", w.Open(), err)
	}
}

// pipeSite is a site that answers the first request for bytes with a message of its own.
func pipeSite(t *testing.T, kind byte, data string) *Flow {
	t.Helper()
	a, b := net.Pipe()
	t.Cleanup(func() { b.Close() })
	go func() {
		buf := make([]byte, 4096)
		b.Read(buf)
		io.WriteString(b, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
		io.ReadFull(b, buf[:flowHeader])
		b.Write(append(binary.BigEndian.AppendUint64([]byte{kind}, uint64(len(data))), data...))
	}()
	f, err := NewFlow(testContext(t), a, 7)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFlowNoticesWrongBytes(t *testing.T) {
	for _, kind := range []byte{flowData, 'x'} {
		f := pipeSite(t, kind, "wrong bytes")
		if err := f.Get(11); err != nil {
			t.Fatal(err)
		}
		if err := f.Wait(testContext(t)); err == nil || strings.Contains(err.Error(), "deadline") {
			t.Errorf("wrong bytes in a message of kind %q: %v", kind, err)
		}
		f.Close()
	}
}

func TestFlowKnowsItsStalls(t *testing.T) {
	f := &Flow{more: make(chan struct{}), asked: 10, last: time.Now().Add(-time.Second)}
	f.arrived(5)
	f.arrived(5)
	if s := f.Stall(); s < time.Second || s > time.Minute {
		t.Errorf("stall of %v, want a second", s)
	}
}
