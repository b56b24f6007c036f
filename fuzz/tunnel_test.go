package fuzz

import (
	"bytes"
	"context"
	"encoding/hex"
	"io"
	"testing"

	"flurry/common/carrier/carriertest"
	"flurry/common/turbotunnel"
)

// preludeLen is what a client opens a carrier with: magic and ClientID.
const preludeLen = 16

// A carrier is accepted if and only if it begins with the prelude, however the
// bytes are cut into messages; what follows it comes out as packets.
func FuzzPrelude(f *testing.F) {
	for _, s := range append(seeds(f, "tunnel", "upstream_hex", "capture"), "", "1293605d278175f5") {
		stream, err := hex.DecodeString(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(stream, uint16(8))
		f.Add(stream, uint16(60_000))
	}
	f.Fuzz(func(t *testing.T, stream []byte, piece uint16) {
		const most = 60 // messages, fewer than the pair takes without a reader
		cut := max(int(piece), len(stream)/most+1)
		if cut > 65535 {
			return
		}
		client, server := carriertest.Pair(carriertest.Options{})
		defer server.Close()
		for rest := stream; len(rest) > 0; {
			n := min(cut, len(rest))
			if err := client.Send(context.Background(), rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		client.Close()

		id, packets, err := turbotunnel.Accept(context.Background(), server)
		magic := turbotunnel.AppendPrelude(nil, turbotunnel.ClientID{})[:8]
		begins := len(stream) >= preludeLen && bytes.HasPrefix(stream, magic)
		switch {
		case (err == nil) != begins:
			t.Fatalf("%x: %v", stream, err)
		case (err == io.EOF) != (len(stream) == 0):
			t.Errorf("%x is a clean end: %v", stream, err)
		case begins && id != turbotunnel.ClientID(stream[8:preludeLen]):
			t.Errorf("%x names %v", stream, id)
		}
		if err != nil {
			return
		}
		defer packets.Close()
		buf := make([]byte, turbotunnel.MaxPacket)
		total := preludeLen
		for {
			n, err := packets.Recv(buf)
			if err != nil {
				break
			}
			total += 1 + n
		}
		if total > len(stream) {
			t.Errorf("%d bytes out of %d", total, len(stream))
		}
	})
}

// A server that reads messages on their own gives out only what stands whole in
// messages with the right head; everything else costs nothing but itself, and too
// much of it the carrier.
func FuzzDatagrams(f *testing.F) {
	head := append(turbotunnel.AppendPrelude(nil, turbotunnel.ClientID{}), 2, 0, 0)
	packet := append(bytes.Clone(head), 0x83, 'a', 'b', 'c')
	f.Add(packet, packet[:20], []byte{}, uint8(3))
	f.Add(head, append(packet, 0x42), append(packet, packet...), uint8(40))
	f.Add([]byte{0x12}, []byte{0xc0, 0x80, 0x80}, packet, uint8(1))
	f.Fuzz(func(t *testing.T, one, two, three []byte, times uint8) {
		const capacity = 1000
		client, server := carriertest.Pair(carriertest.Options{Datagram: true, Capacity: capacity})
		defer server.Close()
		sent := len(head)
		client.Send(context.Background(), head)
		for range int(times) % (capacity / 4) {
			for _, m := range [][]byte{one, two, three} {
				if len(m) == 0 || len(m) > 65535 {
					continue
				}
				sent += len(m)
				client.Send(context.Background(), m)
			}
		}
		client.Close()
		_, packets, err := turbotunnel.Accept(context.Background(), server)
		if err != nil {
			t.Fatal(err)
		}
		defer packets.Close()
		buf := make([]byte, turbotunnel.MaxPacket)
		got := 0
		for err == nil {
			var n int
			n, err = packets.Recv(buf)
			got += n
		}
		if got > sent || err != io.EOF && err != turbotunnel.ErrEdges {
			t.Errorf("%d bytes out of %d, %v", got, sent, err)
		}
		one, two, three = bytes.TrimPrefix(one, head), bytes.TrimPrefix(two, head), bytes.TrimPrefix(three, head)
		if got > (int(times)+1)*(len(one)+len(two)+len(three)) {
			t.Errorf("%d bytes out of %x, %x, %x", got, one, two, three)
		}
	})
}
