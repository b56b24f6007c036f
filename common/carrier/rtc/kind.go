package rtc

import (
	"flurry/common/carrier"

	"github.com/pion/webrtc/v4"
)

// A Kind is a kind of data channel. The offerer chooses it; the other end
// learns it with the channel.
type Kind string

// The kinds, as carrier.Traits names them.
const (
	// Reliable channels are ordered and lossless: a byte stream. They are all
	// that deployed peers open.
	Reliable Kind = "rtc-reliable"

	// Unordered channels deliver a message whole or not at all, in any order,
	// and send nothing twice: ordered=false, maxRetransmits=0.
	Unordered Kind = "rtc-unordered"
)

// A Choice picks the kind of channel when the answer is known. It gets the
// answer's SDP, of which only the broker and the volunteer know the truth.
type Choice func(sdp string) Kind

const (
	// maxUnordered is the largest message sent over an unordered channel. A
	// deployed proxy copies with buffers of that size (spec section 8.2): longer
	// messages would be cut.
	maxUnordered = 2048

	// onePacket is the most that pion sends as one packet: its MTU of 1191 less
	// the SCTP header of 12 bytes and an I-DATA chunk's of 20 (RFC 8260 section
	// 2.1), in whole words. A plain DATA chunk has room for 4 bytes more.
	onePacket = 1156
)

func (k Kind) init() *webrtc.DataChannelInit {
	if k != Unordered {
		return nil // ordered and reliable
	}
	ordered, retransmits := false, uint16(0)
	return &webrtc.DataChannelInit{Ordered: &ordered, MaxRetransmits: &retransmits}
}

// kindOf reads the kind of a channel. Whatever is not wholly reliable is used
// as if it kept no promise but that of message edges.
func kindOf(dc *webrtc.DataChannel) Kind {
	if dc.Ordered() && dc.MaxRetransmits() == nil && dc.MaxPacketLifeTime() == nil {
		return Reliable
	}
	return Unordered
}

func (k Kind) traits() carrier.Traits {
	if k == Unordered {
		return carrier.Traits{Kind: string(k), Lossy: true, MaxMessage: maxUnordered, Fit: onePacket}
	}
	return carrier.Traits{Kind: string(k), Stream: true, MaxMessage: maxMessage}
}
