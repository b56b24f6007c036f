package turbotunnel

import (
	"context"
	"testing"

	"flurry/common/carrier"
)

// loop is a carrier that gives back each message that it is given, in order and
// without a copy more than it must: nothing of its own counts in what is
// measured.
type loop struct {
	carrier.Conn // nil: nothing else is called
	traits       carrier.Traits
	msgs         [][]byte // room for further messages lies behind them
	at           int      // what Recv has taken of the first
}

func (l *loop) Send(_ context.Context, msg []byte) error {
	n := len(l.msgs)
	if n < cap(l.msgs) {
		l.msgs = l.msgs[:n+1]
	} else {
		l.msgs = append(l.msgs, nil)
	}
	l.msgs[n] = append(l.msgs[n][:0], msg...)
	return nil
}

func (l *loop) SendBatch(ctx context.Context, msgs [][]byte) error {
	for _, m := range msgs {
		l.Send(ctx, m)
	}
	return nil
}

func (l *loop) Recv(b []byte) (int, error) {
	first := l.msgs[0]
	n := copy(b, first[l.at:])
	if l.at += n; l.at == len(first) || !l.traits.Stream {
		copy(l.msgs, l.msgs[1:])
		l.msgs[len(l.msgs)-1] = first // its memory serves again
		l.msgs, l.at = l.msgs[:len(l.msgs)-1], 0
	}
	return n, nil
}

func (l *loop) Traits() carrier.Traits { return l.traits }

// framings are both ends of each kind of framing: what up sends, down receives.
func framings() map[string]struct {
	up, down carrier.Conn
} {
	stream := &loop{traits: carrier.Traits{Stream: true, MaxMessage: 65535}}
	lossy := &loop{traits: carrier.Traits{Lossy: true, MaxMessage: 65535, Fit: 1180}}
	id := NewClientID()
	return map[string]struct{ up, down carrier.Conn }{
		"stream": {newPackets(stream, nil), newPackets(stream, nil)},
		"lossy":  {newDatagrams(lossy, id, true, make([]byte, maxDatagram)), newDatagrams(lossy, id, false, make([]byte, maxDatagram))},
	}
}

func TestFramingDoesNotAllocate(t *testing.T) {
	batch := make([][]byte, 12)
	for i := range batch {
		batch[i] = make([]byte, 24+i*100)
	}
	ctx := context.Background()
	buf := make([]byte, MaxPacket)
	for name, f := range framings() {
		n := testing.AllocsPerRun(100, func() {
			if err := f.up.(carrier.BatchSender).SendBatch(ctx, batch); err != nil {
				t.Fatal(err)
			}
			for _, want := range batch {
				if n, err := f.down.Recv(buf); n != len(want) || err != nil {
					t.Fatalf("%s: %d bytes, %v, want %d", name, n, err, len(want))
				}
			}
			if err := f.up.Send(ctx, batch[3]); err != nil {
				t.Fatal(err)
			}
			f.down.Recv(buf)
		})
		if n != 0 {
			t.Errorf("%s: %v allocations for %d packets", name, n, len(batch)+1)
		}
	}
}

// One operation is one packet, framed in batches of twelve and read.
func BenchmarkFraming(b *testing.B) {
	batch := make([][]byte, 12)
	for i := range batch {
		batch[i] = make([]byte, fitPacket)
	}
	ctx := context.Background()
	buf := make([]byte, MaxPacket)
	for name, f := range framings() {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(fitPacket)
			b.ReportAllocs()
			for i := 0; i < b.N; i += len(batch) {
				if err := f.up.(carrier.BatchSender).SendBatch(ctx, batch); err != nil {
					b.Fatal(err)
				}
				for range batch {
					if _, err := f.down.Recv(buf); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
