package covert

import (
	"errors"
	"fmt"
	"io"
	"math"

	"golang.org/x/net/http2"
)

// receive acts on one frame of the peer, or on the end of the reading side.
func (c *h2Conn) receive(f h2Frame) {
	if f.err != nil {
		c.receiveError(f.err)
		return
	}
	if _, ok := f.frame.(*http2.SettingsFrame); !ok && !c.gotSettings {
		c.fail(http2.ErrCodeProtocol, errors.New("the server's HTTP/2 did not begin with settings"))
		return
	}
	c.received.Add(1)
	switch f := f.frame.(type) {
	case *http2.SettingsFrame:
		c.receiveSettings(f)
	case *http2.MetaHeadersFrame:
		c.receiveHeaders(f)
	case *http2.DataFrame:
		c.receiveData(f)
	case *http2.WindowUpdateFrame:
		c.receiveWindow(f)
	case *http2.PingFrame:
		if !f.IsAck() {
			c.check(c.framer.WritePing(true, f.Data))
		}
	case *http2.RSTStreamFrame:
		c.receiveReset(f)
	case *http2.GoAwayFrame:
		c.receiveGoAway(f)
	case *http2.PushPromiseFrame:
		// Some profiles must not forbid pushes; no front makes any.
		c.fail(http2.ErrCodeProtocol, errors.New("the server pushed a reply"))
	}
}

// fail ends the connection, telling the peer the reason.
func (c *h2Conn) fail(code http2.ErrCode, err error) {
	c.check(c.framer.WriteGoAway(0, code, nil))
	c.flush()
	c.close(err)
}

// receiveError handles a failed read: of one stream, or of the connection.
func (c *h2Conn) receiveError(err error) {
	var stream http2.StreamError
	if errors.As(err, &stream) {
		if s := c.streams[stream.StreamID]; s != nil {
			c.reset(s, stream.Code, fmt.Errorf("bad HTTP/2 reply: %w", err))
		}
		return
	}
	var conn http2.ConnectionError
	if errors.As(err, &conn) || errors.Is(err, http2.ErrFrameTooLarge) {
		code := http2.ErrCodeFrameSize
		if conn != 0 {
			code = http2.ErrCode(conn)
		}
		c.fail(code, fmt.Errorf("bad HTTP/2: %w", err))
		return
	}
	if errors.Is(err, io.EOF) {
		err = errors.New("the server closed the connection")
	}
	c.close(err)
}

// receiveSettings applies the peer's settings and acknowledges them.
func (c *h2Conn) receiveSettings(f *http2.SettingsFrame) {
	if f.IsAck() {
		return
	}
	c.gotSettings = true
	err := f.ForeachSetting(func(s http2.Setting) error {
		if err := s.Valid(); err != nil {
			return err
		}
		switch s.ID {
		case http2.SettingInitialWindowSize:
			grown := int64(s.Val) - c.peerWindow
			c.peerWindow = int64(s.Val)
			for _, stream := range c.streams {
				stream.sendWindow += grown
			}
		case http2.SettingMaxFrameSize:
			c.peerFrame = int(s.Val)
		case http2.SettingHeaderTableSize:
			c.encoder.SetMaxDynamicTableSizeLimit(min(s.Val, h2DefaultTable))
		case http2.SettingMaxConcurrentStreams:
			c.mu.Lock()
			c.most = int(min(s.Val, math.MaxInt32))
			c.mu.Unlock()
		}
		return nil
	})
	if err != nil {
		c.fail(http2.ErrCodeProtocol, fmt.Errorf("bad HTTP/2 settings: %w", err))
		return
	}
	c.check(c.framer.WriteSettingsAck())
	c.flush()
	c.sendBodies()
}

// sendBodies goes on with every request that waited for a window.
func (c *h2Conn) sendBodies() {
	for _, s := range c.streams {
		c.sendBody(s)
	}
}

// receiveHeaders takes the head of a reply, an interim reply or the trailers.
func (c *h2Conn) receiveHeaders(f *http2.MetaHeadersFrame) {
	s := c.streams[f.StreamID]
	if s == nil {
		return // reset by us
	}
	s.touched = true
	if err := s.takeHead(f); err != nil {
		c.reset(s, http2.ErrCodeProtocol, err)
		return
	}
	if f.StreamEnded() {
		c.finish(s)
	}
}

// receiveData takes a piece of a reply's body.
func (c *h2Conn) receiveData(f *http2.DataFrame) {
	// The connection's window is credited at once: what may wait for readers is
	// bounded by the window of each stream.
	size := int64(f.Length)
	c.unreturned += size
	if c.unreturned >= (h2DefaultWindow+int64(c.profile.h2.windowUpdate))/2 {
		c.check(c.framer.WriteWindowUpdate(0, uint32(c.unreturned)))
		c.unreturned = 0
	}
	s := c.streams[f.StreamID]
	if s == nil {
		return // reset by us
	}
	s.recvWindow -= size
	switch {
	case !s.hasHead():
		c.reset(s, http2.ErrCodeProtocol, errors.New("bad HTTP/2 reply: data before headers"))
		return
	case s.recvWindow < 0:
		c.reset(s, http2.ErrCodeFlowControl, errors.New("bad HTTP/2 reply: more than the window"))
		return
	}
	s.body.write(f.Data())
	s.unreturned += size - int64(len(f.Data())) // padding has no reader
	if f.StreamEnded() {
		c.finish(s)
	}
}

// finish ends a stream whose reply is complete. A peer may reply before it has
// read the request; then the rest is not sent.
func (c *h2Conn) finish(s *h2Stream) {
	if !s.hasHead() {
		c.reset(s, http2.ErrCodeProtocol, errors.New("bad HTTP/2 reply: it has no status"))
		return
	}
	if len(s.unsent) > 0 {
		c.check(c.framer.WriteRSTStream(s.id, http2.ErrCodeCancel))
	}
	c.endStream(s, nil)
}

// receiveWindow lets requests go on.
func (c *h2Conn) receiveWindow(f *http2.WindowUpdateFrame) {
	if f.StreamID == 0 {
		if c.sendWindow += int64(f.Increment); c.sendWindow > math.MaxInt32 {
			c.fail(http2.ErrCodeFlowControl, errors.New("bad HTTP/2: window overflow"))
			return
		}
		c.sendBodies()
		return
	}
	if s := c.streams[f.StreamID]; s != nil {
		if s.sendWindow += int64(f.Increment); s.sendWindow > math.MaxInt32 {
			c.reset(s, http2.ErrCodeFlowControl, errors.New("bad HTTP/2: window overflow"))
			return
		}
		c.sendBody(s)
	}
}

// receiveReset ends a stream from the peer's side.
func (c *h2Conn) receiveReset(f *http2.RSTStreamFrame) {
	s := c.streams[f.StreamID]
	if s == nil {
		return
	}
	err := fmt.Errorf("the server cancelled the request: %v", f.ErrCode)
	if f.ErrCode == http2.ErrCodeRefusedStream {
		err = fmt.Errorf("%w: %w", errStale, err)
	}
	c.endStream(s, err)
}

// receiveGoAway takes no further requests; those the peer has not looked at may
// be sent elsewhere.
func (c *h2Conn) receiveGoAway(f *http2.GoAwayFrame) {
	for id, s := range c.streams {
		if id > f.LastStreamID {
			c.endStream(s, fmt.Errorf("%w: the server is going away: %v", errStale, f.ErrCode))
		}
	}
	c.drain()
}
