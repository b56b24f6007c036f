// SPDX-FileCopyrightText: 2026 The Pion community <https://pion.ly>
// SPDX-License-Identifier: MIT

package sctp

import (
	"crypto/rand"
	"time"
)

// This file is not in the original. It lets INIT and INIT-ACK chunks look like
// those of another implementation, whose sizes show although they are encrypted,
// and has acknowledgements leave as browsers' do.

// InitShape is what INIT and INIT-ACK chunks carry. The zero value is the
// original's.
type InitShape struct {
	// Window is the receiver window that INIT and INIT-ACK tell of. SACKs tell
	// of the real one, WithMaxReceiveBufferSize. 0 means the real one.
	Window uint32

	// ForwardTSN adds the Forward-TSN-Supported parameter (RFC 3758 section
	// 3.1), which the list of supported extensions makes needless.
	ForwardTSN bool

	// Cookie is the size of the state cookie, 0 for the original's, and
	// CookiePrefix what it begins with. The rest is random, 16 bytes at least.
	Cookie       int
	CookiePrefix string
}

// WithInitShape sets what INIT and INIT-ACK chunks carry.
func WithInitShape(s InitShape) AssociationOption {
	return sharedOption(func(c *Config) error {
		c.initShape = s

		return nil
	})
}

// window is the one to tell of, where real is the real one.
func (s InitShape) window(real uint32) uint32 {
	if s.Window != 0 {
		return s.Window
	}

	return real
}

// addParams adds the parameters that stand before the list of extensions.
func (s InitShape) addParams(init *chunkInitCommon) {
	if s.ForwardTSN {
		init.params = append(init.params, &paramForwardTSNSupported{})
	}
}

const minCookieRandom = 16

func (s InitShape) newCookie() (*paramStateCookie, error) {
	if s.Cookie == 0 {
		return newRandomStateCookie()
	}
	cookie := make([]byte, max(s.Cookie, len(s.CookiePrefix)+minCookieRandom))
	copy(cookie, s.CookiePrefix)
	if _, err := rand.Read(cookie[len(s.CookiePrefix):]); err != nil {
		return nil, err
	}

	return &paramStateCookie{cookie: cookie}, nil
}

// openAck is the state of an association's holding back of the ACK of a channel.
type openAck struct {
	hold  time.Duration // at most
	reads uint64        // packets that have come
	held  uint64        // how many there were when the ACK was held back, 0 if it is not
}

// WithBrowserAcks has packets leave as dcSCTP's do, the library of browsers: the
// first data is acknowledged at once (RFC 9260 section 5.1), an acknowledgement
// that waits rides with data, one that does not goes before it, and a message of
// the Data Channel Establishment Protocol shares no packet with what follows. The
// ACK of a channel waits until another packet has come, or for hold: what comes
// right behind the OPEN is acknowledged with it.
func WithBrowserAcks(hold time.Duration) AssociationOption {
	return sharedOption(func(c *Config) error {
		c.browserAcks = true
		c.openAckHold = hold

		return nil
	})
}

// firstData reports whether data is the association's first and to be
// acknowledged at once. The caller should hold the lock.
func (a *Association) firstData() bool {
	first := a.browserAcks && !a.seenData
	a.seenData = true

	return first
}

// mostAcksWait is how many acknowledgements wait to be sent at most. Where more
// packets come before it is the sender's turn, one stands for the rest.
const mostAcksWait = 4

// ackPacket has the packet that was read last acknowledged by one of its own, as
// it has come, before another is read. The caller should hold the lock.
func (a *Association) ackPacket() {
	if !a.browserAcks || a.getState() != established || a.acksWait == mostAcksWait {
		return
	}
	a.acksWait++
	a.ackState = ackStateIdle
	a.stats.incSACKsSent()
	a.controlQueue.push(a.createPacket([]chunk{a.createSelectiveAckChunk()}))
}

// ackAfterAck sends the acknowledgement that waits when one has come: dcSCTP then
// looks for what it may send, and finds that. The caller should hold the lock.
func (a *Association) ackAfterAck() {
	if a.ackState == ackStateDelay && a.browserAcks && a.getState() == established {
		a.ackTimer.stop()
		a.ackState = ackStateImmediate
		a.ackPacket()
		a.awakeWriteLoop()
	}
}

// sackSize is that of an acknowledgement without gaps (RFC 9260 section 3.3.4).
const sackSize = 16

// roomForAck is how much shorter the first piece of a message is than it could
// be, for the acknowledgement that will ride with it. The caller should hold the
// lock.
func (a *Association) roomForAck() uint32 {
	if a.browserAcks && a.ackState == ackStateDelay && a.pendingQueue.size() == 0 {
		return sackSize
	}

	return 0
}

// bundleAck puts the acknowledgement that waits, if one does, into the first of
// the packets that has room. The caller should hold the lock.
func (a *Association) bundleAck(packets []*packet) {
	if !a.browserAcks || a.ackState != ackStateDelay {
		return
	}
	sack := a.createSelectiveAckChunk()
	raw, err := sack.marshal()
	if err != nil {
		return
	}
	for _, p := range packets {
		size := int(commonHeaderSize) + len(raw)
		for _, c := range p.chunks {
			if data, ok := c.(*chunkPayloadData); ok {
				size += data.chunkSizeInPacket()
			}
		}
		if size > int(a.MTU()) {
			continue
		}
		p.chunks = append([]chunk{sack}, p.chunks...)
		a.stats.incSACKsSent()
		a.ackState = ackStateIdle
		a.ackTimer.stop()

		return
	}
}

// endsPacket reports whether nothing may follow the chunk in its packet.
func (a *Association) endsPacket(c *chunkPayloadData) bool {
	return a.browserAcks && c.payloadType == PayloadTypeWebRTCDCEP
}

// dcepAck is the type of the ACK of a channel (RFC 8832 section 8.2.1).
const dcepAck = 2

// holdOpenAck reports whether the chunks are the ACK of a channel, which is held
// back then. The caller should hold the lock.
func (a *Association) holdOpenAck(chunks []*chunkPayloadData) bool {
	if a.openAck.hold == 0 || a.ackState == ackStateDelay || len(chunks) != 1 ||
		chunks[0].payloadType != PayloadTypeWebRTCDCEP || chunks[0].userData[0] != dcepAck {
		return false
	}
	a.openAck.held = a.openAck.reads
	time.AfterFunc(a.openAck.hold, func() {
		a.lock.Lock()
		defer a.lock.Unlock()
		a.openAck.held = 0
		a.awakeWriteLoop()
	})

	return true
}

// releaseOpenAck has the ACK leave that was held back before the packet that has
// been read. The caller should hold the lock.
func (a *Association) releaseOpenAck() {
	if a.openAck.held > 0 && a.openAck.held < a.openAck.reads {
		a.openAck.held = 0
		a.awakeWriteLoop()
	}
}

// lastWords returns the reset of a stream that waits to be sent and goes before an
// ABORT, unless data waits, too. The caller should hold the lock.
func (a *Association) lastWords() [][]byte {
	if !a.browserAcks || a.getState() != established || a.pendingQueue.getNumBytes() > 0 {
		return nil
	}
	budget, consumed := a.tlrCurrentBurstBudgetScaledLocked(), false

	return a.gatherOutboundDataAndReconfigPackets(nil, &budget, &consumed)
}
