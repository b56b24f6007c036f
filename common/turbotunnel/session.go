package turbotunnel

import (
	"context"
	"fmt"
	"net"

	"flurry/common/multipath"

	"github.com/xtaci/smux"
)

// Session is smux streams over a KCP conversation. Its methods are safe for
// concurrent use.
type Session struct {
	conn *multipath.Conn
	mux  *smux.Session
}

// Client makes the end that a client has of a session over conn, which the
// Session owns from now on. Nothing is sent before the first stream.
func Client(conn *multipath.Conn, t Tuning) (*Session, error) {
	m, err := smux.Client(newWindows(conn, t), t.smux())
	return newSession(conn, m, err)
}

// Server makes the bridge's end. conn should have begun: an idle smux session
// costs far more than a Conn.
func Server(conn *multipath.Conn, t Tuning) (*Session, error) {
	m, err := smux.Server(newWindows(conn, t), t.smux())
	return newSession(conn, m, err)
}

func newSession(conn *multipath.Conn, m *smux.Session, err error) (*Session, error) {
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("start smux: %w", err)
	}
	return &Session{conn: conn, mux: m}, nil
}

// OpenStream opens a stream. It returns at once: the other end learns of the
// stream with the first path. When ctx ends first, the stream is closed.
func (s *Session) OpenStream(ctx context.Context) (net.Conn, error) {
	type result struct {
		stream *smux.Stream
		err    error
	}
	ch := make(chan result, 1)
	go func() { // opening may wait for a full send window
		st, err := s.mux.OpenStream()
		ch <- result{st, err}
	}()
	select {
	case r := <-ch:
		if r.err != nil {
			return nil, fmt.Errorf("open stream: %w", r.err)
		}
		return r.stream, nil
	case <-ctx.Done():
		go func() {
			if r := <-ch; r.stream != nil {
				r.stream.Close()
			}
		}()
		return nil, fmt.Errorf("open stream: %w", ctx.Err())
	}
}

// AcceptStream waits for a stream that the other end opened. After an error the
// session is of no more use and should be closed.
func (s *Session) AcceptStream() (net.Conn, error) {
	st, err := s.mux.AcceptStream()
	if err != nil {
		return nil, fmt.Errorf("accept stream: %w", err)
	}
	return st, nil
}

// NumStreams counts the streams that are open at this end.
func (s *Session) NumStreams() int { return s.mux.NumStreams() }

// Done is closed when the session has been closed or has heard nothing for too
// long.
func (s *Session) Done() <-chan struct{} { return s.mux.CloseChan() }

// Conn is the conversation below, for its paths and counts.
func (s *Session) Conn() *multipath.Conn { return s.conn }

// Close ends the session at this end, with its paths. The other end is not
// told: what must arrive, such as a stream's end, has to be acknowledged before.
func (s *Session) Close() error {
	s.mux.Close()
	s.conn.Close()
	return nil
}
