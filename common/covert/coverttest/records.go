package coverttest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
)

// recordHeader is type, version and length (RFC 8446, section 5.1).
const recordHeader = 5

// readHello reads the TLS records with the first handshake message.
func readHello(r io.Reader) ([]byte, error) {
	var all []byte
	for {
		header := make([]byte, recordHeader)
		if _, err := io.ReadFull(r, header); err != nil {
			return nil, err
		}
		body := make([]byte, binary.BigEndian.Uint16(header[3:]))
		if _, err := io.ReadFull(r, body); err != nil {
			return nil, err
		}
		all = append(append(all, header...), body...)
		m := handshakeOf(all)
		if header[0] != 22 || len(m) > 1<<16 {
			return nil, errors.New("not a ClientHello")
		}
		if len(m) >= 4 && len(m) >= 4+int(m[1])<<16+int(m[2])<<8+int(m[3]) {
			return all, nil
		}
	}
}

// handshakeOf takes the record headers away.
func handshakeOf(records []byte) []byte {
	var m []byte
	for len(records) >= recordHeader {
		n := recordHeader + int(binary.BigEndian.Uint16(records[3:]))
		m = append(m, records[recordHeader:n]...)
		records = records[n:]
	}
	return m
}

// A replayConn gives first what was read of it before, and tells of the TLS
// records after that.
type replayConn struct {
	net.Conn
	first *bytes.Reader
	saw   func(record string)
	rest  []byte // the beginning of a record
}

func (c *replayConn) Read(p []byte) (int, error) {
	if c.first.Len() > 0 {
		return c.first.Read(p)
	}
	n, err := c.Conn.Read(p)
	c.rest = append(c.rest, p[:n]...)
	for len(c.rest) >= recordHeader {
		size := int(binary.BigEndian.Uint16(c.rest[3:]))
		if len(c.rest) < recordHeader+size {
			break
		}
		c.saw(fmt.Sprintf("%d of %d bytes", c.rest[0], size))
		c.rest = c.rest[recordHeader+size:]
	}
	return n, err
}
