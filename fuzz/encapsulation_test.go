package fuzz

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/iotest"

	"flurry/common/encapsulation"
)

// A stream yields the same packets however it is cut into reads, and no more
// bytes than it has.
func FuzzEncapsulationReader(f *testing.F) {
	for _, s := range seeds(f, "encapsulation", "hex", "decode_stream") {
		stream, err := hex.DecodeString(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(stream, uint16(4))
		f.Add(stream, uint16(2048))
	}
	f.Fuzz(func(t *testing.T, stream []byte, bufferLen uint16) {
		packets, truncated, err := packetsOf(bytes.NewReader(stream), int(bufferLen))
		slow, _, slowErr := packetsOf(iotest.OneByteReader(bytes.NewReader(stream)), int(bufferLen))
		if !slices.EqualFunc(packets, slow, bytes.Equal) || err != slowErr {
			t.Errorf("%x, %v by the byte is %x, %v", packets, err, slow, slowErr)
		}
		if err != io.EOF && err != io.ErrUnexpectedEOF && !errors.Is(err, encapsulation.ErrTooLong) {
			t.Errorf("ended with %v", err)
		}
		total := 0
		for _, p := range packets {
			total += 1 + len(p) // a chunk takes a prefix at least
		}
		if total > len(stream) {
			t.Errorf("%d bytes out of %d", total, len(stream))
		}
		if !truncated {
			reencode(t, packets)
		}
	})
}

// packetsOf reads stream to its end.
func packetsOf(stream io.Reader, bufferLen int) (packets [][]byte, anyTruncated bool, err error) {
	r := encapsulation.NewReader(stream)
	buf := make([]byte, bufferLen)
	for {
		n, truncated, err := r.ReadPacket(buf)
		if err != nil {
			return packets, anyTruncated, err
		}
		packets = append(packets, bytes.Clone(buf[:n]))
		anyTruncated = anyTruncated || truncated
	}
}

// reencode writes packets and reads them again.
func reencode(t *testing.T, packets [][]byte) {
	t.Helper()
	var stream []byte
	longest := 0
	for i, p := range packets {
		var err error
		if stream, err = encapsulation.AppendData(encapsulation.AppendPadding(stream, i), p); err != nil {
			t.Fatal(err)
		}
		longest = max(longest, len(p))
	}
	again, _, err := packetsOf(bytes.NewReader(stream), longest)
	if err != io.EOF || !slices.EqualFunc(packets, again, bytes.Equal) {
		t.Errorf("%x came back as %x, %v", packets, again, err)
	}
}

// Padding has the size it was asked for, and never shows.
func FuzzEncapsulationRoundTrip(f *testing.F) {
	f.Add([]byte("packet"), uint16(0), uint16(1))
	f.Add(make([]byte, 1400), uint16(64), uint16(2099))
	f.Fuzz(func(t *testing.T, packet []byte, before, after uint16) {
		stream := encapsulation.AppendPadding(nil, int(before))
		stream, err := encapsulation.AppendData(stream, packet)
		if err != nil {
			if len(packet) <= encapsulation.MaxDataLen {
				t.Errorf("%d bytes: %v", len(packet), err)
			}
			return
		}
		size := len(stream) - int(before)
		if n := encapsulation.MaxDataForSize(size); n > len(packet) {
			t.Errorf("%d bytes are said to fit into %d, which %d fill", n, size, len(packet))
		}
		stream = encapsulation.AppendPadding(stream, int(after))
		if len(stream) != int(before)+size+int(after) {
			t.Errorf("padding of %d and %d made %d bytes of %d", before, after, len(stream), size)
		}
		got, _, err := packetsOf(bytes.NewReader(stream), len(packet))
		if err != io.EOF || len(got) != 1 || !bytes.Equal(got[0], packet) {
			t.Errorf("%x came back as %x, %v", packet, got, err)
		}
	})
}
