package ws

import (
	"bufio"
	"fmt"
	"net"
	"net/http"

	"github.com/coder/websocket"
)

// Accept upgrades a request of any Origin (browsers' proxies live on foreign
// pages, spec section 8.1). On an error it has already answered.
func Accept(w http.ResponseWriter, r *http.Request) (*Conn, error) {
	tap := &hijackTap{ResponseWriter: w}
	c, err := websocket.Accept(tap, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true, // of the Origin header, not of a certificate
		CompressionMode:    websocket.CompressionDisabled,
	})
	if err != nil {
		return nil, fmt.Errorf("accept WebSocket: %w", err)
	}
	return newConn(c, tap.conn), nil
}

// hijackTap puts a wire over the connection that the upgrade takes over, and
// remembers it.
type hijackTap struct {
	http.ResponseWriter
	conn *wire
}

// Hijack implements http.Hijacker.
func (t *hijackTap) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(t.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	t.conn = newWire(c)
	rw.Writer.Reset(t.conn) // nothing waits in it
	return t.conn, rw, nil
}
