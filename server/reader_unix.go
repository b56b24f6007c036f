//go:build unix

package main

import (
	"io"
	"net"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// A reader moves bytes from a TCP connection to a writer and borrows a buffer
// only once there are bytes to read. It is for one goroutine.
type reader struct {
	raw     syscall.RawConn
	buffers *sync.Pool // of *[]byte
	attempt func(fd uintptr) bool

	// of the attempt that has just been made
	buf *[]byte
	n   int
	err error
}

func newReader(c *net.TCPConn, buffers *sync.Pool) (*reader, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	r := &reader{raw: raw, buffers: buffers}
	r.attempt = r.read // made once, since it allocates
	return r, nil
}

// read is one non-blocking attempt; false says to wait for more.
func (r *reader) read(fd uintptr) bool {
	r.buf = r.buffers.Get().(*[]byte)
	for {
		r.n, r.err = unix.Read(int(fd), *r.buf)
		if r.err != unix.EINTR {
			break
		}
	}
	if r.err == unix.EAGAIN {
		r.release()
		return false
	}
	return true
}

func (r *reader) release() {
	r.buffers.Put(r.buf)
	r.buf = nil
}

// next waits for bytes and writes them to w. At the connection's end it
// returns io.EOF.
func (r *reader) next(w io.Writer) error {
	if err := r.raw.Read(r.attempt); err != nil {
		return err
	}
	defer r.release()
	switch {
	case r.err != nil:
		return r.err
	case r.n == 0:
		return io.EOF
	}
	_, err := w.Write((*r.buf)[:r.n])
	if err == io.EOF { // smux's word for a stream that the client has closed
		err = io.ErrClosedPipe
	}
	return err
}
