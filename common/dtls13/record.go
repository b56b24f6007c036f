package dtls13

import "encoding/binary"

// Content types (RFC 8446 section 5.1, RFC 9147 section 4).
const (
	typeChangeCipherSpec uint8 = 20
	typeAlert            uint8 = 21
	typeHandshake        uint8 = 22
	typeData             uint8 = 23
	typeACK              uint8 = 26
)

const (
	// plainHeaderSize is the header of DTLSPlaintext and of every record of 1.2
	// (RFC 9147 section 4, RFC 6347 section 4.1).
	plainHeaderSize = 13

	// maxPayload bounds what one record holds (RFC 8446 section 5.1).
	maxPayload = 1 << 14

	// maxBody bounds a record with its padding and tag (RFC 6347 section
	// 4.2.2: 2048 more; 1.3 allows 256).
	maxBody = maxPayload + 2048

	// maxSeq is the last sequence number of an epoch (RFC 9147 section 4.5.3).
	maxSeq = 1<<48 - 1
)

// Versions that stand in record headers. A browser's first flight has the one of
// DTLS 1.0, as RFC 9147 section 4 allows.
const (
	recordVersion   uint16 = 0xfefd
	recordVersion10 uint16 = 0xfeff
)

// A recordNumber names a record of one direction (RFC 9147 section 4).
type recordNumber struct {
	epoch, seq uint64
}

// A record is one that has been opened, or stood in clear.
type record struct {
	recordNumber
	typ  uint8
	body []byte // within the datagram that it came in
}

// A plainHeader is that of a record with the old header.
type plainHeader struct {
	typ     uint8
	version uint16
	epoch   uint16
	seq     uint64
}

// cutPlain takes a record with the old header off a datagram. It returns false
// if there is none, and the rest of the datagram cannot be made sense of.
func cutPlain(b []byte) (h plainHeader, body, rest []byte, ok bool) {
	if len(b) < plainHeaderSize {
		return h, nil, nil, false
	}
	n := int(binary.BigEndian.Uint16(b[11:]))
	if n > maxBody || len(b)-plainHeaderSize < n {
		return h, nil, nil, false
	}
	h.typ = b[0]
	h.version = binary.BigEndian.Uint16(b[1:])
	h.epoch = binary.BigEndian.Uint16(b[3:])
	h.seq = binary.BigEndian.Uint64(b[3:]) & maxSeq
	if h.version>>8 != 0xfe {
		return h, nil, nil, false
	}
	return h, b[plainHeaderSize : plainHeaderSize+n], b[plainHeaderSize+n:], true
}

// appendPlainHeader begins a record of n bytes.
func appendPlainHeader(b []byte, h plainHeader, n int) []byte {
	b = append(b, h.typ)
	b = binary.BigEndian.AppendUint16(b, h.version)
	b = binary.BigEndian.AppendUint64(b, uint64(h.epoch)<<48|h.seq&maxSeq)
	return binary.BigEndian.AppendUint16(b, uint16(n))
}
