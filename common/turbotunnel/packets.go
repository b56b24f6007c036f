package turbotunnel

import (
	"context"

	"flurry/common/carrier"
	"flurry/common/encapsulation"
)

const (
	// MaxPacket is the largest KCP packet on the wire: receivers cut longer
	// ones (spec section 7.2).
	MaxPacket = 1400

	// batchSize is how many bytes of packets SendBatch puts into one message.
	// Messages of 16 KiB cost a fifth less processor time over WebRTC than one
	// message for each packet (measured: 29 against 37 CPU s/GB).
	batchSize = 16 << 10

	// maxPrefix is the length in front of a packet (spec section 7.2).
	maxPrefix = 3
)

// packets frames a byte-stream carrier into packets: each with a length in
// front, padding skipped. It is itself a carrier.Conn whose messages are
// packets. A packet cut by the receiver's buffer is dropped: KCP sends it again.
type packets struct {
	carrier.Conn
	stream *messages
	reader *encapsulation.Reader
	out    []byte // used by Send and SendBatch only
}

// newPackets frames c, of which begin has been read already.
func newPackets(c carrier.Conn, begin []byte) *packets {
	s := &messages{c, begin}
	return &packets{Conn: c, stream: s, reader: encapsulation.NewReader(s)}
}

// Traits implements carrier.Conn.
func (p *packets) Traits() carrier.Traits {
	t := p.Conn.Traits()
	t.Stream, t.MaxMessage = false, MaxPacket
	return t
}

// Send implements carrier.Conn.
func (p *packets) Send(ctx context.Context, packet []byte) error {
	if len(packet) > MaxPacket {
		return carrier.ErrTooLong
	}
	var err error
	if p.out, err = encapsulation.AppendData(p.out[:0], packet); err != nil {
		return err
	}
	return p.Conn.Send(ctx, p.out)
}

// SendBatch implements carrier.BatchSender: as many packets in one message as
// batchSize holds.
func (p *packets) SendBatch(ctx context.Context, batch [][]byte) error {
	p.out = p.out[:0]
	for _, packet := range batch {
		if len(packet) > MaxPacket {
			return carrier.ErrTooLong
		}
		if len(p.out)+len(packet)+maxPrefix > batchSize {
			if err := p.Conn.Send(ctx, p.out); err != nil {
				return err
			}
			p.out = p.out[:0]
		}
		var err error
		if p.out, err = encapsulation.AppendData(p.out, packet); err != nil {
			return err
		}
	}
	if len(p.out) == 0 {
		return nil
	}
	return p.Conn.Send(ctx, p.out)
}

// Recv implements carrier.Conn.
func (p *packets) Recv(buf []byte) (int, error) {
	for {
		n, cut, err := p.reader.ReadPacket(buf)
		if err != nil {
			return 0, err
		}
		if !cut {
			return n, nil
		}
	}
}

// messages reads a carrier's messages as one stream of bytes.
type messages struct {
	c     carrier.Conn
	begin []byte // comes before what c has
}

// Read implements io.Reader.
func (m *messages) Read(p []byte) (int, error) {
	if len(m.begin) > 0 {
		n := copy(p, m.begin)
		if m.begin = m.begin[n:]; len(m.begin) == 0 {
			m.begin = nil // lets go of the memory
		}
		return n, nil
	}
	return m.c.Recv(p)
}
