package fuzz

import (
	"context"
	"net"
	"os"
	"testing"
	"time"

	"flurry/common/messages"
	"flurry/common/nat"
)

// Whatever a STUN server replies, the probe ends, with a NAT word or an error.
func FuzzSTUNReply(f *testing.F) {
	// Success replies with XOR-MAPPED-ADDRESS and OTHER-ADDRESS, the second
	// with a length that lies.
	const mapped, other = "\x00\x20\x00\x08\x00\x01\xa1\x47\xe1\x12\xa6\x43", "\x80\x2c\x00\x08\x00\x01\x0d\x97\xc0\x00\x02\x02"
	const header = "\x01\x01\x00\x18\x21\x12\xa4\x42............"
	f.Add([]byte(header+mapped+other), []byte(header+mapped+other))
	f.Add([]byte(header+mapped+other), []byte("\x01\x11\x00\x00\x21\x12\xa4\x42............"))
	f.Add([]byte("\x01\x01\xff\xff\x21\x12\xa4\x42............"+mapped), []byte{})
	f.Fuzz(func(t *testing.T, first, second []byte) {
		conn := &stunServer{replies: [][]byte{first, second}}
		kind, err := nat.Probe(context.Background(), []string{"192.0.2.1:3478"}, nat.Options{
			Timeout: time.Nanosecond,
			Listen:  func(context.Context) (net.PacketConn, error) { return conn, nil },
		})
		if (err == nil) == (kind == messages.NATUnknown) {
			t.Errorf("got %v, %v", kind, err)
		}
		boundedError(t, err, len(first)+len(second))
	})
}

// A stunServer is the socket of a probe: each request gets the next reply, with
// the request's transaction id so that it is looked at, and then nothing.
type stunServer struct {
	net.PacketConn
	replies [][]byte
	ready   []byte // the reply to the last request; nil if it was read
	from    net.Addr
}

func (s *stunServer) WriteTo(p []byte, to net.Addr) (int, error) {
	if len(s.replies) > 0 {
		s.ready, s.from = append([]byte(nil), s.replies[0]...), to
		s.replies = s.replies[1:]
		const id = 8 // where the transaction id begins, behind type, length and cookie
		if len(s.ready) >= id+12 {
			copy(s.ready[id:id+12], p[id:])
		}
	}
	return len(p), nil
}

func (s *stunServer) ReadFrom(p []byte) (int, net.Addr, error) {
	if s.ready == nil {
		return 0, nil, os.ErrDeadlineExceeded
	}
	n := copy(p, s.ready)
	s.ready = nil
	return n, s.from, nil
}

func (s *stunServer) SetReadDeadline(time.Time) error { return nil }
func (s *stunServer) Close() error                    { return nil }
