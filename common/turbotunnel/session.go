package turbotunnel

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net"

	"github.com/xtaci/kcp-go/v5"
	"github.com/xtaci/smux"
)

// Session is a KCP conversation with smux streams in it. Its methods are safe
// for concurrent use.
type Session struct {
	kcp *kcp.UDPSession
	mux *smux.Session
}

// Dial starts a session with remote over pc, which the caller goes on owning.
// Nothing is sent before the first stream.
func Dial(pc net.PacketConn, remote net.Addr, t Tuning) (*Session, error) {
	var conv [4]byte
	rand.Read(conv[:])
	k, err := kcp.NewConn3(binary.LittleEndian.Uint32(conv[:]), remote, nil, 0, 0, pc)
	if err != nil {
		return nil, fmt.Errorf("start KCP: %w", err)
	}
	t.apply(k)
	m, err := smux.Client(k, t.smux())
	if err != nil {
		k.Close()
		return nil, fmt.Errorf("start smux: %w", err)
	}
	return &Session{kcp: k, mux: m}, nil
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

// RemoteAddr is the address given to Dial, or for an accepted session its
// ClientID.
func (s *Session) RemoteAddr() net.Addr { return s.kcp.RemoteAddr() }

// Close ends the session at this end. The other end is not told: what must
// arrive, such as a stream's end, has to be acknowledged before.
func (s *Session) Close() error {
	s.mux.Close()
	s.kcp.Close()
	return nil
}

// Listener accepts sessions.
type Listener struct {
	kcp *kcp.Listener
	t   Tuning
}

// Listen accepts sessions over pc, whose peers' addresses name them; the caller
// goes on owning pc.
func Listen(pc net.PacketConn, t Tuning) (*Listener, error) {
	l, err := kcp.ServeConn(nil, 0, 0, pc)
	if err != nil {
		return nil, fmt.Errorf("listen for KCP: %w", err)
	}
	return &Listener{kcp: l, t: t}, nil
}

// Accept waits for the next session.
func (l *Listener) Accept() (*Session, error) {
	k, err := l.kcp.AcceptKCP()
	if err != nil {
		return nil, fmt.Errorf("accept session: %w", err)
	}
	l.t.apply(k)
	m, err := smux.Server(k, l.t.smux())
	if err != nil {
		k.Close()
		return nil, fmt.Errorf("start smux: %w", err)
	}
	return &Session{kcp: k, mux: m}, nil
}

// Close stops accepting. Sessions accepted before live on.
func (l *Listener) Close() error { return l.kcp.Close() }
