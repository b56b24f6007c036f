package wt

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
)

const (
	// headerLen is the length in front of each message.
	headerLen = 4

	// maxMessage bounds a message in both directions. It is far above what a
	// batch of packets needs, and no more than browsers copy in one piece.
	maxMessage = 1 << 16

	// readAhead lets a header and the few messages behind it come in one read.
	readAhead = 4 << 10
)

// errFrame ends a session whose other end does not keep to the framing.
var errFrame = errors.New("wt: frame with a length that is not allowed")

// appendFrame appends msg as one frame.
func appendFrame(dst, msg []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(msg)))
	return append(dst, msg...)
}

// frames reads messages from a stream. No length that the other end states makes
// it take memory.
type frames struct {
	r    *bufio.Reader
	left int // of the message being read
}

func newFrames(r io.Reader) *frames {
	return &frames{r: bufio.NewReaderSize(r, readAhead)}
}

// read copies one message into buf, or as much of it as buf holds; the rest comes
// with the next read. It returns io.EOF at an end between two frames and
// io.ErrUnexpectedEOF at any other.
func (f *frames) read(buf []byte) (int, error) {
	if f.left == 0 {
		var header [headerLen]byte
		if _, err := io.ReadFull(f.r, header[:]); err != nil {
			return 0, err
		}
		n := binary.BigEndian.Uint32(header[:])
		if n < 1 || n > maxMessage {
			return 0, errFrame
		}
		f.left = int(n)
	}
	n, err := io.ReadFull(f.r, buf[:min(len(buf), f.left)])
	f.left -= n
	if err == io.EOF { // where a message was announced
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
