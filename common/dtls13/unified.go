package dtls13

import "encoding/binary"

// The unified header (RFC 9147 section 4): 001CSLEE.
const (
	unifiedMask   = 0xe0
	unifiedMark   = 0x20
	unifiedCID    = 0x10
	unifiedSeq16  = 0x08
	unifiedLength = 0x04
	unifiedEpoch  = 0x03

	// unifiedHeaderSize is that of what browsers send, and we: no connection
	// id, 16 bits of sequence number, length.
	unifiedHeaderSize = 5
)

// isUnified tells a record of 1.3 that is encrypted from all others.
func isUnified(b byte) bool { return b&unifiedMask == unifiedMark }

// A unified is a record with the unified header, still encrypted.
type unified struct {
	epochBits uint64 // the low two bits of the epoch
	seqSize   int    // 1 or 2 bytes
	header    int    // bytes before the body
	raw       []byte // header and body
}

// cutUnified takes a record with the unified header off a datagram. It returns
// false if there is none. Connection ids are never agreed on here.
func cutUnified(b []byte) (u unified, rest []byte, ok bool) {
	if len(b) == 0 || !isUnified(b[0]) || b[0]&unifiedCID != 0 {
		return u, nil, false
	}
	u.epochBits = uint64(b[0] & unifiedEpoch)
	u.seqSize = 1
	if b[0]&unifiedSeq16 != 0 {
		u.seqSize = 2
	}
	u.header = 1 + u.seqSize
	if b[0]&unifiedLength == 0 {
		u.raw = b
	} else {
		if len(b) < u.header+2 {
			return u, nil, false
		}
		n := int(binary.BigEndian.Uint16(b[u.header:]))
		u.header += 2
		if len(b)-u.header < n {
			return u, nil, false
		}
		u.raw, rest = b[:u.header+n], b[u.header+n:]
	}
	n := len(u.raw) - u.header
	return u, rest, sampleSize <= n && n <= maxBody
}

// fullSeq is the sequence number nearest to next whose low bits are those seen
// (RFC 9147 section 4.2.2). next is the one after the highest that was genuine.
func fullSeq(low uint64, size int, next uint64) uint64 {
	span := uint64(1) << (8 * size)
	seq := next&^(span-1) | low
	switch {
	case seq+span/2 < next:
		seq += span
	case seq >= next+span/2 && seq >= span:
		seq -= span
	}
	return seq
}
