package rtc

import (
	"flurry/common/carrier"

	"github.com/pion/datachannel"
)

// A Kind is a kind of data channel. The offerer chooses it; the other end
// learns it with the channel.
type Kind string

// The kinds, as carrier.Traits names them.
const (
	// Reliable channels are ordered and lossless: a byte stream. They are all
	// that deployed peers open.
	Reliable Kind = "rtc-reliable"

	// Unordered channels keep the edges of messages and deliver each as it
	// comes: ordered=false. SCTP sends again what was lost, beside the session,
	// which sees a loss as soon and may choose another path: a loss costs its own
	// bytes twice. With maxRetransmits=0 it would not, but pion 1.12 then gives
	// up each message the moment it leaves and answers every acknowledgement
	// with a FORWARD-TSN that is acknowledged in turn (pion/sctp issue 505): on
	// a line of 5 MB/s without loss eight packets for each that carries data,
	// seven times the processor time, and half the rate (measured). maxRetransmits=1 does the
	// same wherever there is loss.
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

	// onePacket is the most that leaves as one packet: browserMTU, and pionMTU
	// in whole words, less the SCTP header of 12 bytes and an I-DATA chunk's of 20
	// (RFC 8260 section 2.1). A plain DATA chunk has room for 4 bytes more.
	onePacket = browserMTU - 12 - 20
)

// channelType is how a channel's OPEN message says k (RFC 8832 section 5.1).
func (k Kind) channelType() datachannel.ChannelType {
	if k == Unordered {
		return datachannel.ChannelTypeReliableUnordered
	}
	return datachannel.ChannelTypeReliable
}

// kindOf reads the kind of a channel. Whatever is not wholly reliable is used
// as if it kept no promise but that of message edges.
func kindOf(t datachannel.ChannelType) Kind {
	if t == datachannel.ChannelTypeReliable {
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
