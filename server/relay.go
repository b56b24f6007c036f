package main

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

const (
	// copySize is what one read from tor takes: smux's largest frame (spec
	// section 7.4), so that one read becomes one frame.
	copySize = 32 << 10

	// lingerLimit is how long tor may go on sending after it has been told
	// that the client is gone. Closing on unread data would reset the
	// connection, and with it what tor has yet to read.
	lingerLimit = time.Second
)

// A relay copies between clients' streams and tor. Its buffers are in use only
// while there are bytes in them: of ten thousand clients most are silent.
type relay struct {
	buffers sync.Pool // of *[]byte, each of copySize
}

func newRelay() *relay {
	return &relay{buffers: sync.Pool{New: func() any {
		b := make([]byte, copySize)
		return &b
	}}}
}

// run copies both ways until either end has closed, delivers what had arrived
// by then, and closes both. When ctx ends, so do both at once.
func (r *relay) run(ctx context.Context, stream net.Conn, or *net.TCPConn) {
	defer or.Close()
	defer context.AfterFunc(ctx, func() {
		stream.Close()
		or.SetReadDeadline(time.Now())
	})()
	var down sync.WaitGroup
	down.Go(func() {
		r.down(stream, or)
		stream.Close() // tells the client, and ends the copy below
	})
	io.Copy(or, stream)
	or.CloseWrite()
	or.SetReadDeadline(time.Now().Add(lingerLimit))
	if ctx.Err() != nil { // its function may have come before
		or.SetReadDeadline(time.Now())
	}
	down.Wait()
}

// down copies from tor to the stream. When the stream takes no more, it reads
// on until tor has closed, too.
func (r *relay) down(stream io.Writer, or *net.TCPConn) {
	in, err := newReader(or, &r.buffers)
	if err != nil {
		return
	}
	for err == nil {
		err = in.next(stream)
	}
	if !errors.Is(err, io.EOF) {
		io.Copy(io.Discard, or)
	}
}
