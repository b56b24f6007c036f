package snowserver

import (
	"io"
	"net"
	"sync"
	"sync/atomic"

	"flurry/common/turbotunnel"
)

// A session gives out the streams of one KCP conversation.
type session struct {
	// fixed before serve
	out    *outlet
	tunnel *turbotunnel.Session
	remote ClientAddr

	open atomic.Int64 // streams not yet closed by us
}

// serve hands the session's streams to Accept until the session ends, for
// whatever reason, and closes it. Beside them it offers the client the way to
// the broker, if there is one: that stream is no user's and counts for nothing.
func (s *session) serve() {
	var control sync.WaitGroup
	defer control.Wait()
	defer s.tunnel.Close()
	if d := s.out.cfg.desk; d != nil {
		control.Go(func() { d.serve(s.tunnel) })
	}
	for {
		conn, err := s.tunnel.AcceptStream()
		if err != nil {
			return
		}
		if s.open.Load() >= int64(s.out.cfg.MaxStreams) {
			conn.Close()
			continue
		}
		s.open.Add(1)
		s.out.open.add(1)
		stream := &Stream{Conn: conn, session: s}
		select {
		case s.out.streams <- stream:
		case <-s.out.quiet:
			stream.Close()
		case <-s.tunnel.Done():
			stream.Close()
			return
		}
	}
}

// A Stream is one connection of a client, as a net.Conn. Its Read returns
// io.EOF once the client has closed the stream, after all that the client has
// sent. Close tells the client so, after all that was written.
type Stream struct {
	net.Conn // the smux stream

	session *session
	closing atomic.Bool // a Close has begun
}

// RemoteAddr is the ClientAddr that was known when the stream's session began.
func (s *Stream) RemoteAddr() net.Addr { return s.session.remote }

// WriteTo implements io.WriterTo: the stream's own buffers go to w without
// another copy.
func (s *Stream) WriteTo(w io.Writer) (int64, error) {
	if wt, ok := s.Conn.(io.WriterTo); ok {
		return wt.WriteTo(w)
	}
	return io.Copy(w, struct{ io.Reader }{s.Conn})
}

// Close ends the stream in both directions. It may be called again, also while
// the first call is under way, and then does nothing: the stream counts as open
// until the first has told the client.
func (s *Stream) Close() error {
	if !s.closing.CompareAndSwap(false, true) {
		return net.ErrClosed
	}
	err := s.Conn.Close()
	s.session.open.Add(-1)
	s.session.out.open.add(-1)
	return err
}
