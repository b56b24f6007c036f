package covert

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/net/http2"
)

// An h2Stream is one request and its reply.
type h2Stream struct {
	// fixed after construction
	conn    *h2Conn
	ctx     context.Context // the request's, which outlives the stream
	request *outgoing
	again   bool // the connection may have been stale
	body    *h2Body
	before  int64 // frames the connection had received

	// owned by the connection's loop
	id         uint32
	unsent     []byte
	sendWindow int64
	recvWindow int64
	unreturned int64 // bytes read by our reader and not yet credited
	touched    bool  // something of the reply was seen

	once     sync.Once
	answered chan struct{} // closed once head or err is set
	head     *http.Response
	err      error
}

func newH2Stream(c *h2Conn, ctx context.Context, o *outgoing, again bool) *h2Stream {
	s := &h2Stream{conn: c, ctx: ctx, request: o, again: again, unsent: o.body, answered: make(chan struct{})}
	s.recvWindow = s.window()
	s.before = c.received.Load()
	s.body = &h2Body{stream: s, ready: make(chan struct{}, 1)}
	return s
}

// window returns the starting window of a stream that we announced.
func (s *h2Stream) window() int64 {
	p := &s.conn.profile.h2
	return int64(p.setting(http2.SettingInitialWindowSize, h2DefaultWindow)) + int64(p.streamUpdate)
}

// answer sets the outcome of the request, the first time.
func (s *h2Stream) answer(head *http.Response, err error) bool {
	first := false
	s.once.Do(func() {
		first = true
		s.head, s.err = head, err
		close(s.answered)
	})
	return first
}

// hasHead reports whether the reply's headers are there. Loop only.
func (s *h2Stream) hasHead() bool {
	select {
	case <-s.answered:
		return s.head != nil
	default:
		return false
	}
}

// fail ends the request, or the body of its reply, with err.
func (s *h2Stream) fail(err error) {
	if s.again && !s.touched && !errors.Is(err, errStale) && s.ctx.Err() == nil {
		err = fmt.Errorf("%w: %w", errStale, err)
	}
	s.body.release()
	if !s.answer(nil, err) {
		s.body.end(err)
	}
}

// abandon gives the stream up from the side of its user.
func (s *h2Stream) abandon(err error) {
	s.conn.notify(h2Notice{stream: s, abandon: true})
	if errors.Is(s.ctx.Err(), context.DeadlineExceeded) && s.conn.received.Load() == s.before {
		// The peer was silent all the time. The network under a kept connection
		// may have changed: the next request gets a new one.
		s.conn.drain()
	}
	s.body.release()
	s.answer(nil, err)
}

// takeHead takes a block of headers: an interim reply, the reply, or trailers.
func (s *h2Stream) takeHead(f *http2.MetaHeadersFrame) error {
	if s.hasHead() {
		if !f.StreamEnded() {
			return errors.New("bad HTTP/2 reply: headers in the body")
		}
		return nil // trailers, which nobody reads
	}
	if f.Truncated {
		return fmt.Errorf("reply headers longer than %d bytes", maxHeaderBytes)
	}
	status, err := strconv.Atoi(f.PseudoValue("status"))
	if err != nil || status < 100 || status > 999 {
		return fmt.Errorf("bad HTTP/2 reply: status %q", f.PseudoValue("status"))
	}
	if status < 200 {
		return nil
	}
	resp := &http.Response{
		Status:        strconv.Itoa(status) + " " + http.StatusText(status),
		StatusCode:    status,
		Proto:         "HTTP/2.0",
		ProtoMajor:    2,
		Header:        make(http.Header),
		ContentLength: -1,
	}
	for _, h := range f.RegularFields() {
		resp.Header.Add(h.Name, h.Value)
	}
	if n, err := strconv.ParseInt(resp.Header.Get("Content-Length"), 10, 63); err == nil {
		resp.ContentLength = n
	}
	s.answer(resp, nil)
	return nil
}

// response returns the reply with its body.
func (s *h2Stream) response() *http.Response {
	s.head.Body = s.body
	return s.head
}

// lower is the spelling of header names on HTTP/2.
func lower(name string) string { return strings.ToLower(name) }

// An h2Body hands the data of a reply from the loop to its reader. It holds at
// most the stream's window.
type h2Body struct {
	stream *h2Stream
	ready  chan struct{} // wakes the reader
	freed  sync.Once

	mu     sync.Mutex
	data   bytes.Buffer
	err    error // what Read returns after data; io.EOF at a complete end
	closed bool
}

// write appends what the loop received.
func (b *h2Body) write(p []byte) {
	b.mu.Lock()
	if !b.closed {
		b.data.Write(p)
	}
	b.mu.Unlock()
	b.wake()
}

// end sets how the body ends; nil is a complete one. The room on the connection
// is free before the reader learns of the end.
func (b *h2Body) end(err error) {
	b.release()
	if err == nil {
		err = io.EOF
	}
	b.mu.Lock()
	if b.err == nil {
		b.err = err
	}
	b.mu.Unlock()
	b.wake()
}

func (b *h2Body) wake() {
	select {
	case b.ready <- struct{}{}:
	default:
	}
}

// release gives back the stream's room on the connection.
func (b *h2Body) release() { b.freed.Do(b.stream.conn.release) }

func (b *h2Body) Read(p []byte) (int, error) {
	for {
		b.mu.Lock()
		n, err := 0, b.err
		if b.closed {
			err = http.ErrBodyReadAfterClose
		} else if b.data.Len() > 0 {
			n, err = b.data.Read(p)
		}
		b.mu.Unlock()
		if n > 0 {
			b.consumed(n)
			return n, nil
		}
		if err != nil || len(p) == 0 {
			return 0, err
		}
		select {
		case <-b.ready:
		case <-b.stream.ctx.Done():
			err := context.Cause(b.stream.ctx)
			b.stream.abandon(err)
			return 0, err
		}
	}
}

// consumed credits n bytes to the stream's window.
func (b *h2Body) consumed(n int) {
	b.stream.conn.notify(h2Notice{stream: b.stream, consumed: n})
}

// Close may be called while a Read waits and ends it.
func (b *h2Body) Close() error {
	b.mu.Lock()
	complete := b.err != nil
	again := b.closed
	b.closed = true
	b.data.Reset()
	b.mu.Unlock()
	b.wake()
	if !complete && !again {
		b.stream.abandon(http.ErrBodyReadAfterClose)
	}
	return nil
}
