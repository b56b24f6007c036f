package encapsulation_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"flurry/common/encapsulation"
	"flurry/common/vectors"
)

// Cut reads what a Reader reads, where the bytes hold whole chunks.
func TestCutReadsAsReader(t *testing.T) {
	streams := [][]byte{nil, {0}, {0x80}, {0x82, 1}, {0x42}, {0xc0, 0x80}, {0xc0, 0x80, 0x80, 0}, {0x02, 0, 0, 0x81, 7}}
	var mixed []byte
	for i, n := range []int{0, 1, 63, 64, 1140, 8191, 8192} {
		mixed = encapsulation.AppendPadding(mixed, i*300)
		mixed, _ = encapsulation.AppendData(mixed, vectors.Payload(i, n))
	}
	for n := range len(mixed) {
		streams = append(streams, mixed[:n])
	}
	for _, s := range append(streams, mixed) {
		want, wantErr := packetsByReader(s)
		got, err := cutAll(s)
		if !slices.EqualFunc(got, want, bytes.Equal) || !errors.Is(err, wantErr) {
			t.Fatalf("%d bytes: %d packets, %v; a Reader has %d, %v", len(s), len(got), err, len(want), wantErr)
		}
	}
}

func packetsByReader(stream []byte) (packets [][]byte, err error) {
	r := encapsulation.NewReader(bytes.NewReader(stream))
	buf := make([]byte, 10_000)
	for {
		n, _, err := r.ReadPacket(buf)
		if err != nil {
			return packets, err
		}
		packets = append(packets, bytes.Clone(buf[:n]))
	}
}

func cutAll(stream []byte) (packets [][]byte, err error) {
	for {
		payload, rest, isData, err := encapsulation.Cut(stream)
		if err != nil {
			return packets, err
		}
		if isData {
			packets = append(packets, payload)
		}
		stream = rest
	}
}
