package dtls13

import (
	"context"
	"errors"
	"net"
	"time"
)

// A Conn is a DTLS connection over a transport of datagrams. It is a net.Conn
// that keeps message bounds: each Write is one record in one datagram, each Read
// returns one record. Read, Write and the rest may be called from any goroutine
// at the same time.
//
// After the handshake nothing reads the transport but Read, which also answers
// what the peer's DTLS asks for (lost acknowledgements, key updates). So the
// owner must keep calling Read.
type Conn struct {
	transport net.Conn
}

var errNotYet = errors.New("dtls13: not implemented")

// Client makes the handshake as DTLS client (setup:active) over transport, whose
// every Read and Write is one datagram. It returns once application data may be
// sent; for a 1.3 client that is when its last flight has left. When ctx ends
// before, or the handshake fails, it returns an error and has not closed
// transport; whoever called does. A Conn that was returned closes transport in
// Close.
func Client(ctx context.Context, transport net.Conn, config Config) (*Conn, error) {
	return nil, errNotYet
}

// Server is Client for the other end (setup:passive). It returns once the
// client's last flight has arrived.
func Server(ctx context.Context, transport net.Conn, config Config) (*Conn, error) {
	return nil, errNotYet
}

// Read returns the payload of the next record. A payload longer than p is lost,
// and io.ErrShortBuffer returned. After the peer's close_notify it is io.EOF.
// Records that are not genuine are dropped without a word.
func (c *Conn) Read(p []byte) (int, error) { return 0, errNotYet }

// Write sends p as one record in one datagram.
func (c *Conn) Write(p []byte) (int, error) { return 0, errNotYet }

// WriteBatch sends each of packets as Write does, in order, with fewer system
// calls if the transport has a method of this name and type itself. It returns
// how many were sent.
func (c *Conn) WriteBatch(packets [][]byte) (int, error) { return 0, errNotYet }

// Close sends close_notify, once, and closes the transport.
func (c *Conn) Close() error { return errNotYet }

// State is what the handshake has agreed on.
func (c *Conn) State() State { return State{} }

// Export derives keying material (RFC 8446 section 7.5, in 1.2 RFC 5705): for
// SRTP the label is "EXTRACTOR-dtls_srtp", the context nil (RFC 5764 section 4.2).
func (c *Conn) Export(label string, context []byte, length int) ([]byte, error) {
	return nil, errNotYet
}

// LocalAddr implements net.Conn.
func (c *Conn) LocalAddr() net.Addr { return c.transport.LocalAddr() }

// RemoteAddr implements net.Conn.
func (c *Conn) RemoteAddr() net.Addr { return c.transport.RemoteAddr() }

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error { return c.transport.SetDeadline(t) }

// SetReadDeadline implements net.Conn, by the transport's.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.transport.SetReadDeadline(t) }

// SetWriteDeadline implements net.Conn, by the transport's.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.transport.SetWriteDeadline(t) }
