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
