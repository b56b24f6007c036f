package stage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// Args are SOCKS arguments of a pluggable transport, name and value. They override the client's flags for one connection.
type Args map[string]string

// encode writes the arguments as the pluggable transport specification wants them in the SOCKS user name and password.
func (a Args) encode() string {
	escape := strings.NewReplacer(`\`, `\\`, `;`, `\;`, `=`, `\=`)
	var fields []string
	for name, value := range a {
		fields = append(fields, escape.Replace(name)+"="+escape.Replace(value))
	}
	return strings.Join(fields, ";")
}

// maxField is the longest user name or password of RFC 1929.
const maxField = 255

// DialSOCKS connects through the SOCKS5 port at addr, with args if there are any. The destination it names is a placeholder
// that the client ignores. The context bounds the SOCKS exchange; it does not concern the connection after that.
func DialSOCKS(ctx context.Context, addr string, args Args) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("connect to the client: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Now()) })
	err = socksHandshake(c, args.encode())
	if !stop() {
		err = errors.Join(context.Cause(ctx), err)
	}
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("SOCKS with the client: %w", err)
	}
	return c, nil
}

// socksHandshake is the application's side of RFC 1928, with RFC 1929 when there are arguments.
func socksHandshake(c net.Conn, args string) error {
	method := byte(0)
	if args != "" {
		method = 2
	}
	reply := make([]byte, 2)
	if err := exchange(c, []byte{5, 1, method}, reply); err != nil {
		return err
	}
	if reply[1] != method {
		return fmt.Errorf("method %d refused with %d", method, reply[1])
	}
	if args != "" {
		if len(args) > 2*maxField {
			return fmt.Errorf("arguments of %d bytes do not fit", len(args))
		}
		user, password := args[:min(len(args), maxField)], args[min(len(args), maxField):]
		if password == "" {
			password = "\x00" // A password may not be empty; the client drops this one.
		}
		m := append([]byte{1, byte(len(user))}, user...)
		m = append(append(m, byte(len(password))), password...)
		if err := exchange(c, m, reply); err != nil {
			return err
		}
		if reply[1] != 0 {
			return fmt.Errorf("arguments refused with %d", reply[1])
		}
	}
	// CONNECT to 192.0.2.3:80, the placeholder of the sample bridge line.
	reply = make([]byte, 10)
	if err := exchange(c, []byte{5, 1, 0, 1, 192, 0, 2, 3, 0, 80}, reply); err != nil {
		return err
	}
	if reply[1] != 0 {
		return fmt.Errorf("connection refused with %d", reply[1])
	}
	if reply[3] != 1 {
		return fmt.Errorf("reply with address type %d", reply[3])
	}
	return nil
}

func exchange(c net.Conn, request, reply []byte) error {
	if _, err := c.Write(request); err != nil {
		return err
	}
	_, err := io.ReadFull(c, reply)
	return err
}
