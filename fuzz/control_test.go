package fuzz

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"flurry/common/turbotunnel"
)

// A tape is a stream that plays what it holds and takes down what is written.
type tape struct {
	net.Conn // nil: no other method is called
	in       io.Reader
	out      bytes.Buffer
}

func (t *tape) Read(b []byte) (int, error)       { return t.in.Read(b) }
func (t *tape) Write(b []byte) (int, error)      { return t.out.Write(b) }
func (t *tape) Close() error                     { return nil }
func (t *tape) SetDeadline(time.Time) error      { return nil }
func (t *tape) SetReadDeadline(time.Time) error  { return nil }
func (t *tape) SetWriteDeadline(time.Time) error { return nil }

// Frames of a control stream that are accepted are sent again as the same bytes,
// and take no more memory than has arrived.
func FuzzControl(f *testing.F) {
	const hello = "flurryr\x01"
	for _, s := range []string{
		"", "\x01\x00\x00\x00\x01\x00\x00\x00\x03abc\x02\x00\x00\x00\x01\x00\x00\x00\x00",
		"\x03\x00\x00\x00\x01\x00\x00\x00\x00\x04\x00\x00\x00\x01\x00\x00\x00\x01x\x05\xff\xff\xff\xff\x00\x00\x00\x00",
		"\x04\x00\x00\x00\x01\xff\xff\xff\xff", "\x04\x00\x00\x00\x01\x00\x01\x86\xa0", "\x09",
	} {
		f.Add([]byte(hello + s))
	}
	f.Add([]byte("flurryr\x02"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		in := &tape{in: bytes.NewReader(stream)}
		c, err := turbotunnel.AcceptControl(in, time.Second)
		if (err == nil) != bytes.HasPrefix(stream, []byte(hello)) {
			t.Fatalf("%x: %v", stream, err)
		}
		if err != nil {
			return
		}
		for {
			frame, err := c.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				if errors.Is(err, io.EOF) {
					t.Errorf("an end within a frame is a clean end: %v", err)
				}
				break
			}
			bounded(t, "body", cap(frame.Body), len(stream)+bytes.MinRead)
			if err := c.Send(frame); err != nil {
				t.Fatalf("%+v came and cannot go: %v", frame, err)
			}
		}
		if !bytes.HasPrefix(stream, in.out.Bytes()) {
			t.Errorf("%x went out again as %x", stream, in.out.Bytes())
		}
	})
}
