package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	pt "gitlab.torproject.org/tpo/anti-censorship/pluggable-transports/goptlib"

	"flurry/client/snowclient"
)

const (
	// copyBuffer is the size of a copy's buffer: one smux frame (spec 7.4).
	copyBuffer = 32 << 10

	// lastBytes is how long an application that still sends may take to read
	// the last bytes that came for it. Closing at once would make the kernel
	// throw them away.
	lastBytes = time.Second

	// acceptPause is the wait after a failure to accept, mostly for want of
	// file descriptors, as in net/http.
	acceptPause = 100 * time.Millisecond
)

// A client serves SOCKS connections.
type client struct {
	// Fixed after construction.
	base       settings // by flags
	log        *slog.Logger
	transports *transports

	conns sync.WaitGroup // one for each connection
}

// accept serves ln until it is closed. Each connection has a goroutine from
// the first byte on, so that one that dawdles over its SOCKS request holds up
// nobody.
func (c *client) accept(ctx context.Context, ln net.Listener) {
	for {
		conn, err := ln.Accept()
		switch {
		case err == nil:
			c.conns.Go(func() { c.handle(ctx, conn) })
			continue
		case errors.Is(err, net.ErrClosed) || ctx.Err() != nil:
			return
		}
		c.log.Warn("cannot accept a SOCKS connection", "err", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(acceptPause):
		}
	}
}

// handle serves one SOCKS connection from request to end.
func (c *client) handle(ctx context.Context, raw net.Conn) {
	defer raw.Close()
	conn, err := socksRequest(ctx, raw)
	if err != nil {
		c.log.Info("no valid SOCKS request", "err", err)
		return
	}
	stream, release, err := c.dial(ctx, conn.Req.Args)
	if err != nil {
		c.log.Warn("SOCKS request rejected", "err", err)
		warn("SOCKS request rejected: %v", err)
		conn.Reject()
		return
	}
	defer release()
	defer stream.Close()
	if err := conn.Grant(nil); err != nil {
		c.log.Info("SOCKS connection lost", "err", err)
		return
	}
	if err := relay(conn.Conn, stream); err != nil {
		c.log.Info("connection ended", "err", err)
		if errors.Is(err, snowclient.ErrSessionLost) {
			warn("connection lost: %v", err)
		}
	}
}

// dial opens the stream for a connection with these arguments. The caller
// calls release after closing it.
func (c *client) dial(ctx context.Context, args pt.Args) (stream net.Conn, release func(), err error) {
	s, err := c.base.withArgs(args)
	if err != nil {
		return nil, nil, err
	}
	t, release, err := c.transports.acquire(s)
	if err != nil {
		return nil, nil, err
	}
	if stream, err = t.DialContext(ctx); err != nil {
		release()
		return nil, nil, err
	}
	return stream, release, nil
}

// socksRequest reads the SOCKS request from conn. goptlib bounds the time.
func socksRequest(ctx context.Context, conn net.Conn) (*pt.SocksConn, error) {
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	return pt.NewSocksListener(&oneListener{conn: conn}).AcceptSocks()
}

// A oneListener accepts one connection. goptlib's listener then reads that
// one's SOCKS request, and asks for another when it is no good.
type oneListener struct {
	net.Listener
	conn net.Conn // nil once accepted
}

// errBadRequest is what is left when the one connection did not do.
var errBadRequest = errors.New("malformed, unfinished or late SOCKS5 request")

// Accept implements net.Listener.
func (l *oneListener) Accept() (net.Conn, error) {
	if l.conn == nil {
		return nil, errBadRequest
	}
	conn := l.conn
	l.conn = nil
	return conn, nil
}

// relay copies both ways between the application and the stream until one
// direction ends, then closes both: to deployed bridges a stream is never half
// open. It returns the error that ended it, nil for a proper end. After an
// error the application's connection is reset, so that it cannot take what it
// has got for all there is.
func relay(app, stream net.Conn) error {
	type end struct {
		up  bool
		err error
	}
	ends := make(chan end, 2)
	// The wrappers hide methods of TCP connections that would bring buffers of
	// their own. Streams have a WriteTo, which needs none.
	go func() {
		_, err := io.CopyBuffer(stream, struct{ io.Reader }{app}, make([]byte, copyBuffer))
		ends <- end{true, err}
	}()
	go func() {
		_, err := io.Copy(struct{ io.Writer }{app}, stream)
		ends <- end{false, err}
	}()
	first := <-ends
	stream.Close()
	if first.up || first.err != nil {
		if tcp, ok := app.(*net.TCPConn); ok && first.err != nil {
			tcp.SetLinger(0)
		}
		app.Close()
		<-ends
		return first.err
	}
	// The bridge has closed: let the application read to the end.
	if half, ok := app.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
	app.SetReadDeadline(time.Now().Add(lastBytes))
	<-ends
	io.Copy(io.Discard, app)
	app.Close()
	return nil
}
