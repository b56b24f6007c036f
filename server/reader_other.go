//go:build !unix

package main

import (
	"io"
	"net"
	"sync"
)

// A reader moves bytes from a TCP connection to a writer. It is for one
// goroutine. Here it holds its buffer while it waits.
type reader struct {
	conn    *net.TCPConn
	buffers *sync.Pool // of *[]byte
}

func newReader(c *net.TCPConn, buffers *sync.Pool) (*reader, error) {
	return &reader{conn: c, buffers: buffers}, nil
}

// next waits for bytes and writes them to w. At the connection's end it
// returns io.EOF.
func (r *reader) next(w io.Writer) error {
	buf := r.buffers.Get().(*[]byte)
	defer r.buffers.Put(buf)
	n, err := r.conn.Read(*buf)
	if n > 0 {
		if _, werr := w.Write((*buf)[:n]); werr != nil {
			return io.ErrClosedPipe
		}
	}
	return err
}
