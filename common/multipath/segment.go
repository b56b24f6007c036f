package multipath

import "encoding/binary"

// The KCP segment header, little-endian (spec section 7.3):
//
//	0      4   5   6    8     12    16    20    24
//	| conv |cmd|frg|wnd | ts  | sn  | una | len | data...
const (
	headerLen = 24

	cmdPush = 81 // data
	cmdAck  = 82 // one segment acknowledged: its sn, and the ts it came with
	cmdAsk  = 83 // asks for the other end's window
	cmdTell = 84 // answers
)

// maxPacket is the largest packet that a peer may send (spec section 7.2).
const maxPacket = 1400

// header is a segment's header. una, which says that all before it has arrived,
// and wnd, how many segments may follow, hold for every kind of segment.
type header struct {
	conv, ts, sn, una uint32
	wnd               uint16
	cmd, frg          byte
}

// cutSegment splits the first segment off a packet. ok is false at its end and
// where what is left is no segment.
func cutSegment(p []byte) (h header, data, rest []byte, ok bool) {
	if len(p) < headerLen {
		return h, nil, nil, false
	}
	n := binary.LittleEndian.Uint32(p[20:])
	if uint64(n) > uint64(len(p)-headerLen) {
		return h, nil, nil, false
	}
	h = header{
		conv: binary.LittleEndian.Uint32(p),
		cmd:  p[4],
		frg:  p[5],
		wnd:  binary.LittleEndian.Uint16(p[6:]),
		ts:   binary.LittleEndian.Uint32(p[8:]),
		sn:   binary.LittleEndian.Uint32(p[12:]),
		una:  binary.LittleEndian.Uint32(p[16:]),
	}
	end := headerLen + int(n)
	return h, p[headerLen:end:end], p[end:], h.cmd >= cmdPush && h.cmd <= cmdTell
}

// appendSegment appends a segment to a packet.
func appendSegment(p []byte, h header, data []byte) []byte {
	p = binary.LittleEndian.AppendUint32(p, h.conv)
	p = append(p, h.cmd, h.frg)
	p = binary.LittleEndian.AppendUint16(p, h.wnd)
	p = binary.LittleEndian.AppendUint32(p, h.ts)
	p = binary.LittleEndian.AppendUint32(p, h.sn)
	p = binary.LittleEndian.AppendUint32(p, h.una)
	p = binary.LittleEndian.AppendUint32(p, uint32(len(data)))
	return append(p, data...)
}

// after reports whether sequence number a comes after b, in modular arithmetic.
func after(a, b uint32) bool { return int32(a-b) > 0 }
