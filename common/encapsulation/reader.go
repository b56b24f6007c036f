package encapsulation

import (
	"bufio"
	"io"
)

// readerBufferBytes is how much a Reader reads at once: two of the 2048-byte
// messages that proxies cut the stream into (spec section 8.2).
const readerBufferBytes = 4096

// A Reader takes the packets out of a stream. It is for one goroutine at a time.
type Reader struct {
	stream *bufio.Reader
}

// NewReader returns a Reader of stream, of which it may read ahead. It reads
// whole buffers, so stream need not be buffered itself.
func NewReader(stream io.Reader) *Reader {
	return &Reader{stream: bufio.NewReaderSize(stream, readerBufferBytes)}
}

// ReadPacket copies the payload of the next data chunk into buf and returns its
// length, which may be 0. Padding is skipped. A payload longer than buf is cut
// to it and truncated is true; the rest is gone.
//
// At the end of the stream the error is io.EOF between chunks and
// io.ErrUnexpectedEOF within one. A prefix that is too long is ErrTooLong. Other
// errors are the stream's. After an error n is 0 and the Reader is of no more use.
func (r *Reader) ReadPacket(buf []byte) (n int, truncated bool, err error) {
	for {
		isData, length, err := r.readPrefix()
		if err != nil {
			return 0, false, err
		}
		if !isData {
			if err := r.skip(length); err != nil {
				return 0, false, err
			}
			continue
		}
		n := min(length, len(buf))
		if _, err := io.ReadFull(r.stream, buf[:n]); err != nil {
			return 0, false, inside(err)
		}
		if err := r.skip(length - n); err != nil {
			return 0, false, err
		}
		return n, n < length, nil
	}
}

// readPrefix reads the prefix of a chunk.
func (r *Reader) readPrefix() (isData bool, length int, err error) {
	b, err := r.stream.ReadByte()
	if err != nil {
		return false, 0, err // io.EOF here is a clean end
	}
	isData = b&dataBit != 0
	length = int(b & firstValue)
	more := b&firstContinue != 0
	for i := 0; more; i++ {
		if i == 2 {
			return false, 0, ErrTooLong
		}
		b, err := r.stream.ReadByte()
		if err != nil {
			return false, 0, inside(err)
		}
		length = length<<7 | int(b&nextValue)
		more = b&nextContinue != 0
	}
	return isData, length, nil
}

// skip reads n bytes of a chunk and drops them.
func (r *Reader) skip(n int) error {
	if n == 0 {
		return nil
	}
	if _, err := r.stream.Discard(n); err != nil {
		return inside(err)
	}
	return nil
}

// inside returns what err, from the middle of a chunk, is to the caller.
func inside(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
