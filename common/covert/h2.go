package covert

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	// h2DefaultWindow and h2DefaultTable are the protocol's starting values
	// (RFC 9113, section 6.5.2).
	h2DefaultWindow = 65535
	h2DefaultTable  = 4096
	// h2FrameSize is the largest frame we take: every profile leaves
	// SETTINGS_MAX_FRAME_SIZE at its least value.
	h2FrameSize = 16384
	// h2WriteTimeout bounds one write to a peer that does not read.
	h2WriteTimeout = 10 * time.Second
	// h2AssumedStreams is how many requests are sent at once before the peer has
	// told its limit (RFC 9113 recommends 100 as the least).
	h2AssumedStreams = 100
)

// An h2Conn is an HTTP/2 connection. The loop goroutine owns all its state and
// the writing side; the read goroutine hands it one frame at a time.
type h2Conn struct {
	// fixed after construction
	transport *Transport
	host      *host
	conn      net.Conn
	profile   *profile
	requests  chan *h2Stream
	noticed   chan struct{} // there are notices; holds one
	frames    chan h2Frame  // from the read goroutine
	handled   chan struct{} // to the read goroutine: the frame is done with
	closing   chan struct{} // closed by close
	ended     chan struct{} // closed when the loop has ended

	// owned by the loop
	framer      *http2.Framer // its reading side by the read goroutine
	out         *bufio.Writer
	encoded     bytes.Buffer
	encoder     *hpack.Encoder
	streams     map[uint32]*h2Stream
	nextID      uint32
	sendWindow  int64 // bytes the peer takes on the connection
	peerWindow  int64 // the peer's starting window of a stream
	peerFrame   int   // the largest frame the peer takes
	unreturned  int64 // bytes received on the connection and not yet credited
	gotSettings bool

	received atomic.Int64 // frames so far

	mu         sync.Mutex
	notices    []h2Notice // for the loop
	active     int        // requests that hold a reservation
	most       int        // the peer's limit of them
	mayBeStale bool       // the peer may have closed it since it was opened or last used
	draining   bool
	err        error
	since      time.Time
	expire     *time.Timer
}

// An h2Frame is what the read goroutine got.
type h2Frame struct {
	frame http2.Frame
	err   error
}

// An h2Notice tells the loop about a stream.
type h2Notice struct {
	stream   *h2Stream
	consumed int  // bytes its reader has taken
	abandon  bool // nobody wants it any more
}

// newH2Conn starts the protocol on conn.
func newH2Conn(t *Transport, h *host, conn net.Conn) *h2Conn {
	c := &h2Conn{
		transport:  t,
		host:       h,
		conn:       conn,
		profile:    &t.hello.profile,
		requests:   make(chan *h2Stream),
		noticed:    make(chan struct{}, 1),
		frames:     make(chan h2Frame),
		handled:    make(chan struct{}),
		closing:    make(chan struct{}),
		ended:      make(chan struct{}),
		out:        bufio.NewWriter(conn),
		streams:    make(map[uint32]*h2Stream),
		nextID:     t.hello.profile.h2.firstStream,
		sendWindow: h2DefaultWindow,
		peerWindow: h2DefaultWindow,
		peerFrame:  h2FrameSize,
		most:       h2AssumedStreams,
		since:      wallClock(),
	}
	c.framer = http2.NewFramer(c.out, bufio.NewReader(conn))
	c.framer.SetMaxReadFrameSize(h2FrameSize)
	c.framer.MaxHeaderListSize = maxHeaderBytes
	c.framer.ReadMetaHeaders = hpack.NewDecoder(c.profile.h2.setting(http2.SettingHeaderTableSize, h2DefaultTable), nil)
	c.encoder = hpack.NewEncoder(&c.encoded)
	c.expire = time.AfterFunc(t.options.IdleTimeout, c.expireIdle)
	t.work.Go(c.loop)
	return c
}

func (c *h2Conn) openedAhead() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mayBeStale = true
}

func (c *h2Conn) reserve() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil || c.draining || c.active >= c.most {
		return false
	}
	if c.active == 0 {
		if wallClock().Sub(c.since) >= c.transport.options.IdleTimeout {
			return false
		}
		c.expire.Stop()
	}
	c.active++
	return true
}

func (c *h2Conn) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.active == 0
}

// release gives back the room of one request.
func (c *h2Conn) release() {
	c.mu.Lock()
	c.active--
	free := c.active == 0
	if free {
		c.since = wallClock()
		if c.err == nil {
			c.expire.Reset(c.transport.options.IdleTimeout)
		}
	}
	done := free && c.draining
	c.mu.Unlock()
	if done {
		c.close(errIdle)
	}
}

func (c *h2Conn) expireIdle() {
	if c.idle() {
		c.close(errIdle)
	}
}

func (c *h2Conn) close(err error) {
	c.mu.Lock()
	ended := c.err != nil
	if !ended {
		c.err = err
		c.expire.Stop()
		close(c.closing)
	}
	c.mu.Unlock()
	if !ended {
		_ = c.conn.Close() // ends reads and writes under way
		c.transport.forget(c.host, c)
	}
}

// reason returns why the connection ended.
func (c *h2Conn) reason() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// drain takes no further requests and ends the connection after the last.
func (c *h2Conn) drain() {
	c.mu.Lock()
	c.draining = true
	done := c.active == 0
	c.mu.Unlock()
	if done {
		c.close(errIdle)
	}
}

func (c *h2Conn) roundTrip(ctx context.Context, o *outgoing) (*http.Response, error) {
	c.mu.Lock()
	s := newH2Stream(c, ctx, o, c.mayBeStale)
	c.mayBeStale = true
	c.mu.Unlock()
	select {
	case c.requests <- s:
	case <-c.ended:
		s.fail(c.reason())
	case <-ctx.Done():
		s.fail(context.Cause(ctx))
	}
	select {
	case <-s.answered:
	case <-ctx.Done():
		s.abandon(context.Cause(ctx))
	}
	if s.err != nil {
		return nil, s.err
	}
	return s.response(), nil
}

// loop runs the connection until it ends.
func (c *h2Conn) loop() {
	defer close(c.ended)
	reader := make(chan struct{})
	go func() { // waited for below
		defer close(reader)
		c.readFrames()
	}()
	c.preface()
	for c.flush(); ; c.flush() {
		select {
		case s := <-c.requests:
			c.start(s)
		case <-c.noticed:
			for _, n := range c.takeNotices() {
				c.notice(n)
			}
		case f := <-c.frames:
			c.receive(f)
			c.handled <- struct{}{}
		case <-c.closing:
			<-reader
			for _, s := range c.streams {
				c.endStream(s, c.reason())
			}
			return
		}
	}
}

// readFrames reads for the loop. A frame is valid until the next is read.
func (c *h2Conn) readFrames() {
	for {
		frame, err := c.framer.ReadFrame()
		select {
		case c.frames <- h2Frame{frame, err}:
			<-c.handled
		case <-c.closing:
			return
		}
		var stream http2.StreamError
		if err != nil && !errors.As(err, &stream) {
			return
		}
	}
}

// preface opens the connection as the profile's browser does.
func (c *h2Conn) preface() {
	p := &c.profile.h2
	_, err := c.out.WriteString(http2.ClientPreface)
	c.check(err)
	c.check(c.framer.WriteSettings(p.settings...))
	c.check(c.framer.WriteWindowUpdate(0, p.windowUpdate))
	for _, idle := range p.priorities {
		c.check(c.framer.WritePriority(idle.stream, idle.param))
	}
}

// flush sends what was written.
func (c *h2Conn) flush() {
	if c.out.Buffered() > 0 {
		c.check(c.out.Flush())
	}
}

// check ends the connection on a failed write. The deadline is renewed for the
// next one.
func (c *h2Conn) check(err error) {
	if err == nil {
		err = c.conn.SetWriteDeadline(time.Now().Add(h2WriteTimeout))
	}
	if err != nil {
		c.close(err)
	}
}

// notify leaves a notice for the loop. It never waits: the loop may be held up by
// a peer that does not read.
func (c *h2Conn) notify(n h2Notice) {
	c.mu.Lock()
	c.notices = append(c.notices, n)
	c.mu.Unlock()
	select {
	case c.noticed <- struct{}{}:
	default: // the loop has yet to look
	}
}

func (c *h2Conn) takeNotices() []h2Notice {
	c.mu.Lock()
	defer c.mu.Unlock()
	notices := c.notices
	c.notices = nil
	return notices
}

// notice serves the reader of a reply's body.
func (c *h2Conn) notice(n h2Notice) {
	s := n.stream
	if c.streams[s.id] != s {
		return // ended meanwhile; its bytes were credited then
	}
	if n.abandon {
		c.reset(s, http2.ErrCodeCancel, context.Canceled)
		return
	}
	s.unreturned += int64(n.consumed)
	if window := s.window(); s.unreturned >= window/2 {
		c.check(c.framer.WriteWindowUpdate(s.id, uint32(s.unreturned)))
		s.recvWindow += s.unreturned
		s.unreturned = 0
	}
}

// reset ends a stream from our side.
func (c *h2Conn) reset(s *h2Stream, code http2.ErrCode, err error) {
	c.check(c.framer.WriteRSTStream(s.id, code))
	c.endStream(s, err)
}

// endStream forgets s and tells its request why; nil means that it is complete.
func (c *h2Conn) endStream(s *h2Stream, err error) {
	delete(c.streams, s.id)
	if err == nil {
		s.body.end(nil)
		return
	}
	s.fail(err)
}
