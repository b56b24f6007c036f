package covert

import (
	"fmt"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// start sends the head of a request and as much of its body as is allowed.
func (c *h2Conn) start(s *h2Stream) {
	if c.nextID > 1<<31-1 {
		c.drain()
		s.fail(fmt.Errorf("%w: no stream numbers left", errStale))
		return
	}
	s.id = c.nextID
	c.nextID += 2
	s.sendWindow = c.peerWindow
	priority := c.profile.h2.priority
	if priority.Exclusive {
		// Chromium lines its requests up, each behind the youngest under way.
		for id := range c.streams {
			priority.StreamDep = max(priority.StreamDep, id)
		}
	}
	c.streams[s.id] = s

	block := c.encode(s.request.http2(c.profile))
	first := block[:min(len(block), c.peerFrame)]
	block = block[len(first):]
	c.check(c.framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID:      s.id,
		BlockFragment: first,
		EndStream:     len(s.unsent) == 0,
		EndHeaders:    len(block) == 0,
		Priority:      priority,
	}))
	for len(block) > 0 {
		next := block[:min(len(block), c.peerFrame)]
		block = block[len(next):]
		c.check(c.framer.WriteContinuation(s.id, len(block) == 0, next))
	}
	if update := c.profile.h2.streamUpdate; update > 0 {
		c.check(c.framer.WriteWindowUpdate(s.id, update))
	}
	c.flush()
	c.sendBody(s)
}

// encode makes the header block of a request. Browsers put every field into the
// table but the path, which is seldom the same again. It is valid until the next.
func (c *h2Conn) encode(fields []field) []byte {
	c.encoded.Reset()
	for _, f := range fields {
		at := c.encoded.Len()
		once := f.name == ":path" && f.value != "/" && f.value != "/index.html" // these are in the static table
		// A bytes.Buffer takes everything.
		_ = c.encoder.WriteField(hpack.HeaderField{Name: f.name, Value: f.value, Sensitive: once})
		if once {
			// From "never indexed" to "without indexing" (RFC 7541, section 6.2).
			c.encoded.Bytes()[at] &^= 0x10
		}
	}
	return c.encoded.Bytes()
}

// sendBody sends what the windows allow of a request's body, each frame in TLS
// records of its own, as browsers do.
func (c *h2Conn) sendBody(s *h2Stream) {
	for len(s.unsent) > 0 {
		n := min(int64(len(s.unsent)), int64(c.peerFrame), s.sendWindow, c.sendWindow)
		if first := c.profile.h2.firstPiece; first > 0 && len(s.unsent) == len(s.request.body) {
			n = min(n, max(1, int64(first-len(s.request.http1Head(c.profile)))))
		}
		if n <= 0 {
			return // a WINDOW_UPDATE goes on
		}
		piece := s.unsent[:n]
		s.unsent = s.unsent[n:]
		s.sendWindow -= n
		c.sendWindow -= n
		c.check(c.framer.WriteData(s.id, len(s.unsent) == 0, piece))
		c.flush()
	}
}

// http2 lists the header fields of a request as the browser p would send them.
func (o *outgoing) http2(p *profile) []field {
	var out []field
	for _, name := range p.h2.pseudo {
		value := map[string]string{
			":method": o.method, ":scheme": o.scheme, ":authority": o.host, ":path": o.target,
		}[name]
		out = append(out, field{name, value})
	}
	for _, f := range o.fields(p, true) {
		out = append(out, field{lower(f.name), f.value})
	}
	return out
}
