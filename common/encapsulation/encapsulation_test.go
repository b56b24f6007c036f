package encapsulation_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/iotest"

	"flurry/common/encapsulation"
	"flurry/common/vectors"
)

// packetLen is the KCP MTU, the longest packet of the tunnel.
const packetLen = 1400

func TestRoundTripWithPadding(t *testing.T) {
	var stream []byte
	sizes := []int{0, 1, 63, 64, 8191, 8192, 100_000, encapsulation.MaxDataLen}
	for i, n := range sizes {
		stream = encapsulation.AppendPadding(stream, i*777)
		var err error
		if stream, err = encapsulation.AppendData(stream, vectors.Payload(i, n)); err != nil {
			t.Fatal(err)
		}
	}
	stream = encapsulation.AppendPadding(stream, 3000)
	r := encapsulation.NewReader(bytes.NewReader(stream))
	buf := make([]byte, encapsulation.MaxDataLen)
	for i, n := range sizes {
		got, truncated, err := r.ReadPacket(buf)
		if err != nil || truncated || !bytes.Equal(buf[:got], vectors.Payload(i, n)) {
			t.Fatalf("packet of %d bytes came as %d, truncated %v, %v", n, got, truncated, err)
		}
	}
	if _, _, err := r.ReadPacket(buf); err != io.EOF {
		t.Errorf("after the last packet: %v", err)
	}
}

func TestPaddingTotal(t *testing.T) {
	for total := -1; total < 5000; total++ {
		got := encapsulation.AppendPadding(nil, total)
		if len(got) != max(total, 0) {
			t.Fatalf("padding of %d took %d bytes", total, len(got))
		}
		if _, _, err := encapsulation.NewReader(bytes.NewReader(got)).ReadPacket(nil); err != io.EOF {
			t.Fatalf("padding of %d reads as %v", total, err)
		}
	}
}

func TestMaxDataForSizeFits(t *testing.T) {
	for size := 1; size < 20_000; size++ {
		n := encapsulation.MaxDataForSize(size)
		chunk, err := encapsulation.AppendData(nil, make([]byte, n))
		if err != nil || len(chunk) > size || len(chunk) < size-1 {
			t.Fatalf("%d bytes of payload for a size of %d take %d, %v", n, size, len(chunk), err)
		}
	}
	if n := encapsulation.MaxDataForSize(0) + encapsulation.MaxDataForSize(-5); n != 0 {
		t.Errorf("no room holds %d bytes", n)
	}
}

func TestReaderPassesErrorsOn(t *testing.T) {
	broken := errors.New("broken")
	for _, begin := range []string{"", "\x82", "\x82a", "\x02a", "\xc0"} {
		stream := io.MultiReader(bytes.NewReader([]byte(begin)), iotest.ErrReader(broken))
		if n, _, err := encapsulation.NewReader(stream).ReadPacket(make([]byte, 1)); !errors.Is(err, broken) || n != 0 {
			t.Errorf("after %q: %d, %v", begin, n, err)
		}
	}
}

// loop repeats one chunk without end.
type loop struct {
	chunk []byte
	at    int
}

func (l *loop) Read(p []byte) (n int, err error) {
	for n < len(p) {
		c := copy(p[n:], l.chunk[l.at:])
		n += c
		l.at = (l.at + c) % len(l.chunk)
	}
	return n, nil
}

func packetLoop(t testing.TB) *loop {
	chunk, err := encapsulation.AppendData(encapsulation.AppendPadding(nil, 7), make([]byte, packetLen))
	if err != nil {
		t.Fatal(err)
	}
	return &loop{chunk: chunk}
}

func TestNoAllocations(t *testing.T) {
	r := encapsulation.NewReader(packetLoop(t))
	packet, buf := make([]byte, packetLen), make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() {
		buf, _ = encapsulation.AppendData(buf[:0], packet)
		buf = encapsulation.AppendPadding(buf, 2000)
		if _, _, err := r.ReadPacket(packet); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations for a packet", n)
	}
}

func BenchmarkReadPacket(b *testing.B) {
	r := encapsulation.NewReader(packetLoop(b))
	buf := make([]byte, packetLen)
	b.SetBytes(packetLen)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := r.ReadPacket(buf); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendData(b *testing.B) {
	packet, buf := make([]byte, packetLen), make([]byte, 0, 2*packetLen)
	b.SetBytes(packetLen)
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if buf, err = encapsulation.AppendData(buf[:0], packet); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendPadding(b *testing.B) {
	buf := make([]byte, 0, 4096)
	b.SetBytes(2000)
	b.ReportAllocs()
	for b.Loop() {
		buf = encapsulation.AppendPadding(buf[:0], 2000)
	}
}

func ExampleReader() {
	stream, _ := encapsulation.AppendData(nil, []byte("one"))
	stream = encapsulation.AppendPadding(stream, 100)
	stream, _ = encapsulation.AppendData(stream, []byte("two"))

	r := encapsulation.NewReader(bytes.NewReader(stream))
	buf := make([]byte, packetLen)
	for {
		n, _, err := r.ReadPacket(buf)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s\n", buf[:n])
	}
	// Output:
	// one
	// two
	// EOF
}
