// SPDX-FileCopyrightText: 2026 The Pion community <https://pion.ly>
// SPDX-License-Identifier: MIT

package sctp

import (
	"encoding/binary"
	"sync"
)

// This file is not in the original. It builds packets with data in one piece of
// memory, which is used again once the packet has been written. The original
// makes three pieces for each packet, and copies twice. What has been written to
// a stream, and what has come and not been read, is in such memory, too.

// rawSize holds the packets of nearly all associations.
const rawSize = 1280

// raws lends memory for packets: writeLoop gives back what marshal has taken.
var raws = sync.Pool{ //nolint:gochecknoglobals
	New: func() any {
		b := make([]byte, 0, rawSize)

		return &b
	},
}

func takeRaw() []byte {
	b, ok := raws.Get().(*[]byte)
	if !ok {
		return nil
	}

	return (*b)[:0]
}

// giveRaw takes back memory of takeRaw's. Nobody may use it any more.
func giveRaw(b []byte) {
	if cap(b) >= rawSize && cap(b) <= 2*rawSize {
		raws.Put(&b)
	}
}

// free gives back the memory of a chunk that has been acknowledged, or read. Its
// data must not be used any more.
func (p *chunkPayloadData) free() {
	if p.memory != nil {
		giveRaw(p.memory)
		p.memory, p.userData = nil, []byte{}
	}
}

// own gives the packet's memory to its data chunk, if that is all there is in it.
func (p *packet) own(raw []byte) {
	if len(p.chunks) != 1 {
		return
	}
	if c, ok := p.chunks[0].(*chunkPayloadData); ok {
		c.memory = raw
	}
}

// onlySack reports whether a packet is one selective acknowledgement and nothing
// else: nobody keeps any of it.
func onlySack(raw []byte) bool {
	if len(raw) < packetHeaderSize+chunkHeaderSize || chunkType(raw[packetHeaderSize]) != ctSack {
		return false
	}
	length := int(binary.BigEndian.Uint16(raw[packetHeaderSize+2:]))

	return packetHeaderSize+length+getPadding(length) >= len(raw)
}

// appendTo appends the chunk to b, without padding.
func (p *chunkPayloadData) appendTo(b []byte) []byte {
	interleaved := p.isIData()
	typ, headerSize := ctPayloadData, payloadDataHeaderSize
	if interleaved {
		typ, headerSize = ctIData, iDataHeaderSize
	}
	p.chunkHeader.typ, p.chunkHeader.flags = typ, p.marshalFlags()
	b = append(b, uint8(p.chunkHeader.typ), p.chunkHeader.flags)
	b = binary.BigEndian.AppendUint16(b, uint16(chunkHeaderSize+headerSize+len(p.userData))) //nolint:gosec // G115
	b = binary.BigEndian.AppendUint32(b, p.tsn)
	b = binary.BigEndian.AppendUint16(b, p.streamIdentifier)
	if !interleaved {
		b = binary.BigEndian.AppendUint16(b, p.streamSequenceNumber)
		b = binary.BigEndian.AppendUint32(b, uint32(p.payloadType))

		return append(b, p.userData...)
	}
	b = binary.BigEndian.AppendUint16(b, 0)
	b = binary.BigEndian.AppendUint32(b, p.messageIdentifier)
	if p.beginningFragment {
		b = binary.BigEndian.AppendUint32(b, uint32(p.payloadType))
	} else {
		b = binary.BigEndian.AppendUint32(b, p.fragmentSequenceNumber)
	}

	return append(b, p.userData...)
}

func (p *chunkPayloadData) marshalFlags() uint8 {
	flags := uint8(0)
	if p.endingFragment {
		flags = 1
	}
	if p.beginningFragment {
		flags |= 1 << 1
	}
	if p.unordered {
		flags |= 1 << 2
	}
	if p.immediateSack {
		flags |= 1 << 3
	}

	return flags
}
