// Package encapsulation puts packets and padding into a byte stream, as both
// ends of the tunnel do on every ordered carrier (spec section 7.2).
//
//	KCP packet ─ AppendData ─▶ prefix payload | prefix payload | ... ─ Reader ─▶ KCP packet
//	             AppendPadding ─▶ prefix zeros                        (skips it)
//
// Each chunk is a prefix of one to three bytes and as many bytes as the prefix
// says:
//
//	first byte   d c x x x x x x     d=1 data, d=0 padding; c=1: another length byte follows
//	next bytes     c y y y y y y y   at most two
//
// The length is the value bits put together, the most significant first. A
// prefix may be longer than it need be.
package encapsulation

import "errors"

// MaxDataLen is the longest payload a chunk can have: 6+7+7 value bits.
const MaxDataLen = 1<<20 - 1

// ErrTooLong is a payload above MaxDataLen, or a prefix of more than three
// bytes in a stream. After the latter the stream is lost.
var ErrTooLong = errors.New("encapsulation: chunk too long")

// Bits of a prefix.
const (
	dataBit       = 0x80 // of the first byte
	firstContinue = 0x40 // of the first byte
	firstValue    = 0x3f
	nextContinue  = 0x80 // of the others
	nextValue     = 0x7f
)

// AppendData appends payload to dst as one data chunk and returns the result.
// A payload longer than MaxDataLen is ErrTooLong, with dst as it was.
func AppendData(dst, payload []byte) ([]byte, error) {
	n := len(payload)
	switch prefixLen(n) {
	case 1:
		dst = append(dst, dataBit|byte(n))
	case 2:
		dst = append(dst, dataBit|firstContinue|byte(n>>7), byte(n&nextValue))
	case 3:
		dst = append(dst, dataBit|firstContinue|byte(n>>14), nextContinue|byte(n>>7&nextValue), byte(n&nextValue))
	default:
		return dst, ErrTooLong
	}
	return append(dst, payload...), nil
}

// maxPaddingPiece is the total size of the padding chunks that AppendPadding
// writes; the reference writer's value.
const maxPaddingPiece = 1024

// AppendPadding appends total bytes of padding, prefixes included, to dst and
// returns the result. A total below 1 appends nothing.
func AppendPadding(dst []byte, total int) []byte {
	for total > 0 {
		piece := min(total, maxPaddingPiece)
		total -= piece
		n := piece - 1 // bytes behind the prefix
		if n <= firstValue {
			dst = append(dst, byte(n))
		} else {
			// With one more byte of prefix, and so one less behind it.
			n--
			dst = append(dst, firstContinue|byte(n>>7), byte(n&nextValue))
		}
		dst = appendZeros(dst, n)
	}
	return dst
}

func appendZeros(dst []byte, n int) []byte {
	var zeros [maxPaddingPiece]byte
	return append(dst, zeros[:n]...)
}

// MaxDataForSize returns a payload length whose chunk takes at most size bytes.
// It is one below the longest where the prefix grows, and at most
// MaxDataLen-3, as in the reference.
func MaxDataForSize(size int) int {
	if size <= 0 {
		return 0
	}
	size = min(size, MaxDataLen)
	return size - prefixLen(size)
}

// prefixLen returns the length of the shortest prefix for n bytes, 0 if there
// is none.
func prefixLen(n int) int {
	switch {
	case n < 1<<6:
		return 1
	case n < 1<<13:
		return 2
	case n <= MaxDataLen:
		return 3
	}
	return 0
}
