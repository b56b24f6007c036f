package encapsulation

import "io"

// Cut takes the first chunk off chunks, which must hold all of it: payload is
// what stands behind its prefix, rest what follows. Both share memory with
// chunks. An empty chunks is io.EOF, a chunk that goes on beyond its end
// io.ErrUnexpectedEOF, a prefix that is too long ErrTooLong.
func Cut(chunks []byte) (payload, rest []byte, isData bool, err error) {
	if len(chunks) == 0 {
		return nil, nil, false, io.EOF
	}
	b, rest := chunks[0], chunks[1:]
	isData = b&dataBit != 0
	length := int(b & firstValue)
	more := b&firstContinue != 0
	for i := 0; more; i++ {
		if i == 2 {
			return nil, nil, false, ErrTooLong
		}
		if len(rest) == 0 {
			return nil, nil, false, io.ErrUnexpectedEOF
		}
		b, rest = rest[0], rest[1:]
		length = length<<7 | int(b&nextValue)
		more = b&nextContinue != 0
	}
	if length > len(rest) {
		return nil, nil, false, io.ErrUnexpectedEOF
	}
	return rest[:length], rest[length:], isData, nil
}
