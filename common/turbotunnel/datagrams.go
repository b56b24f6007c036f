package turbotunnel

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"

	"flurry/common/carrier"
	"flurry/common/encapsulation"
)

// Framing by message. On a carrier that loses messages or changes their order
// each one stands for itself:
//
//	up     12 93 60 5d 27 81 75 f5 | ClientID | 02 00 00 | packet, packet, ...   each with its length in front
//	down   packet                                                              with its length in front
//
// A server that knows only streams reads this too, because the magic's first
// byte happens to announce 18 bytes of padding. The first message brings the
// prelude and, in 02 00 00, two bytes of padding; every later head is skipped as
// 19 bytes of padding. Lost messages and reordered ones leave no trace in such a
// stream, as long as each arrives whole.

const (
	// filler makes a prelude 19 bytes long: one chunk of padding in any place.
	filler = "\x02\x00\x00"

	headLen = preludeLen + len(filler)

	// maxDatagram is the largest message of this framing: a deployed proxy
	// copies with buffers of that size and cuts what is longer (spec section 8.2).
	maxDatagram = 2048

	// fitPacket is the largest packet of which a message down leaves a proxy as
	// one packet of the network. Ours takes up to 1154 with the length in front,
	// and a browser's SCTP about the same.
	fitPacket = 1140
)

// ErrEdges says that a carrier on which each message stands for itself does not
// keep the edges of messages.
var ErrEdges = errors.New("turbotunnel: the carrier does not keep message edges")

// An EdgeWatcher is a carrier.Conn that wants to know when it turns out not to
// keep message edges. EdgesLost is called once, from Recv.
type EdgeWatcher interface {
	EdgesLost()
}

// datagrams frames a carrier by message. It is itself a carrier.Conn whose
// messages are packets.
type datagrams struct {
	carrier.Conn
	up   bool   // the client's end: what we send has a head
	head []byte // of every message up: ours, or what the other end's must begin with
	fit  int    // largest packet that leaves as one

	out  []byte   // used by Send and SendBatch only
	msgs [][]byte // of out; used by SendBatch only

	in    []byte // one message; used by Recv only
	rest  []byte // of in: chunks to come, known to be whole
	toll  toll   // used by Recv only
	fault atomic.Bool
}

// newDatagrams takes room for one message, of maxDatagram bytes.
func newDatagrams(c carrier.Conn, id ClientID, up bool, room []byte) *datagrams {
	d := &datagrams{Conn: c, up: up, fit: fitPacket, in: room}
	d.head = append(AppendPrelude(make([]byte, 0, headLen), id), filler...)
	if fit := c.Traits().Fit; up && fit > 0 {
		d.fit = min(fit-headLen-2, fitPacket) // packets of 64 bytes and more have 2 in front
	}
	return d
}

// readHead reads the head of a message up. ok is false for anything else.
func readHead(msg []byte) (id ClientID, ok bool) {
	if len(msg) < headLen || !bytes.HasPrefix(msg, magic[:]) || string(msg[preludeLen:headLen]) != filler {
		return id, false
	}
	return ClientID(msg[len(magic):preludeLen]), true
}

// Traits implements carrier.Conn.
func (d *datagrams) Traits() carrier.Traits {
	return carrier.Traits{Kind: d.Conn.Traits().Kind, Lossy: true, MaxMessage: MaxPacket, Fit: d.fit}
}

// Send implements carrier.Conn.
func (d *datagrams) Send(ctx context.Context, packet []byte) error {
	if len(packet) > MaxPacket {
		return carrier.ErrTooLong
	}
	d.out = d.begin(d.out[:0])
	var err error
	if d.out, err = encapsulation.AppendData(d.out, packet); err != nil {
		return err
	}
	return d.Conn.Send(ctx, d.out)
}

// begin begins a message.
func (d *datagrams) begin(dst []byte) []byte {
	if d.up {
		dst = append(dst, d.head...)
	}
	return dst
}

// SendBatch implements carrier.BatchSender. Up, small packets such as
// acknowledgements share a message where it still fits one packet of the
// network; down each has its own, as deployed servers do.
func (d *datagrams) SendBatch(ctx context.Context, batch [][]byte) error {
	d.out, d.msgs = d.out[:0], d.msgs[:0]
	most := headLen + 2 + d.fit
	start := 0
	for i, packet := range batch {
		if len(packet) > MaxPacket {
			return carrier.ErrTooLong
		}
		if i == 0 || !d.up || len(d.out)-start+maxPrefix+len(packet) > most {
			if i > 0 {
				d.msgs = append(d.msgs, d.out[start:len(d.out):len(d.out)])
			}
			start = len(d.out)
			d.out = d.begin(d.out)
		}
		var err error
		if d.out, err = encapsulation.AppendData(d.out, packet); err != nil {
			return err
		}
	}
	if len(batch) == 0 {
		return nil
	}
	return d.sendAll(ctx, append(d.msgs, d.out[start:]))
}

func (d *datagrams) sendAll(ctx context.Context, msgs [][]byte) error {
	d.msgs = msgs
	if b, ok := d.Conn.(carrier.BatchSender); ok {
		return b.SendBatch(ctx, msgs)
	}
	for _, m := range msgs {
		if err := d.Conn.Send(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// Recv implements carrier.Conn. Messages that are not whole are dropped; after
// too many of them it returns ErrEdges, and the holder closes the carrier as
// after any error.
func (d *datagrams) Recv(buf []byte) (int, error) {
	for {
		for len(d.rest) > 0 {
			payload, rest, isData, _ := encapsulation.Cut(d.rest) // checked by take
			d.rest = rest
			if isData && 0 < len(payload) && len(payload) <= len(buf) {
				return copy(buf, payload), nil
			}
		}
		if d.fault.Load() {
			return 0, ErrEdges
		}
		n, err := d.Conn.Recv(d.in)
		if err != nil {
			return 0, err
		}
		d.take(d.in[:n])
	}
}

// take makes the chunks of msg ready for Recv if it is well formed.
func (d *datagrams) take(msg []byte) {
	if !d.toll.pay(d.judge(msg)) {
		d.fault.Store(true)
		if w, ok := d.Conn.(EdgeWatcher); ok {
			w.EdgesLost()
		}
	}
}

// judge looks at all of msg before any of it is used.
func (d *datagrams) judge(msg []byte) verdict {
	if !d.up {
		if !bytes.HasPrefix(msg, d.head) {
			return malformed
		}
		msg = msg[headLen:]
	}
	v := empty
	for rest := msg; len(rest) > 0; {
		var isData bool
		var err error
		if _, rest, isData, err = encapsulation.Cut(rest); err != nil {
			return malformed
		}
		if isData {
			v = whole
		}
	}
	d.rest = msg
	return v
}

// Err implements carrier.Conn.
func (d *datagrams) Err() error {
	if d.fault.Load() {
		return ErrEdges
	}
	return d.Conn.Err()
}

// A verdict is what a message turned out to be.
type verdict int

const (
	empty     verdict = iota // padding only, which half a message may look like
	whole                    // packets
	malformed                // cut, joined in a wrong place, or somebody else's
)

// A toll decides when malformed messages are no accident. One costs what four
// whole ones bring back, so that a share of a fifth is too much in the long run
// and eight in a row are at once: a volunteer that cuts every third message is
// found out after some twenty. SCTP and TCP both check what they carry, so that
// an honest volunteer causes none.
type toll struct{ debt int }

const (
	tollMalformed = 4
	tollLimit     = 32
)

// pay reports whether the carrier may go on.
func (t *toll) pay(v verdict) bool {
	switch v {
	case whole:
		t.debt = max(0, t.debt-1)
	case malformed:
		t.debt += tollMalformed
	}
	return t.debt < tollLimit
}
