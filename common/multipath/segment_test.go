package multipath

import (
	"bytes"
	"encoding/hex"
	"testing"
)

// The header's bytes, by hand from spec section 7.3.
func TestSegmentBytes(t *testing.T) {
	h := header{conv: 0x04030201, cmd: cmdPush, frg: 5, wnd: 0x0706, ts: 0x0b0a0908, sn: 0x0f0e0d0c, una: 0x13121110}
	got := appendSegment([]byte{0xff}, h, []byte("data"))
	if want := "ff" + "01020304" + "51" + "05" + "0607" + "08090a0b" + "0c0d0e0f" + "10111213" + "04000000" + "64617461"; hex.EncodeToString(got) != want {
		t.Errorf("got %x, want %s", got, want)
	}
}

func TestCutSegment(t *testing.T) {
	one := header{conv: 7, cmd: cmdPush, wnd: 1, ts: 2, sn: 3, una: 4}
	two := header{conv: 7, cmd: cmdAck, sn: 9}
	p := appendSegment(appendSegment(nil, one, []byte("abc")), two, nil)

	h, data, rest, ok := cutSegment(p)
	if !ok || h != one || string(data) != "abc" {
		t.Fatalf("%+v %q %v", h, data, ok)
	}
	if cap(data) != len(data) {
		t.Errorf("an append to one segment's data would reach the next segment")
	}
	h, data, rest, ok = cutSegment(rest)
	if !ok || h != two || len(data) != 0 || len(rest) != 0 {
		t.Fatalf("%+v %q %v", h, data, ok)
	}
	for what, bad := range map[string][]byte{
		"nothing":            nil,
		"half a header":      p[:headerLen-1],
		"less data than len": p[:headerLen+2],
		"no such command":    appendSegment(nil, header{cmd: cmdTell + 1}, nil),
		"nor this one":       appendSegment(nil, header{cmd: cmdPush - 1}, nil),
		"a length of 2^32-1": append(bytes.Clone(p[:20]), 0xff, 0xff, 0xff, 0xff, 1, 2, 3),
	} {
		if _, _, _, ok := cutSegment(bad); ok {
			t.Errorf("%s is taken for a segment", what)
		}
	}
}

func TestAfter(t *testing.T) {
	for _, c := range []struct {
		a, b uint32
		want bool
	}{{1, 0, true}, {0, 1, false}, {5, 5, false}, {0, 1<<32 - 1, true}, {1<<32 - 1, 0, false}, {1 << 30, 1<<32 - 1<<30 + 1, true}} {
		if after(c.a, c.b) != c.want {
			t.Errorf("after(%d, %d) is not %v", c.a, c.b, c.want)
		}
	}
}

func TestFifo(t *testing.T) {
	var q fifo[int]
	in, out := 0, 0
	for _, step := range []struct{ push, pop int }{{10, 5}, {11, 3}, {200, 100}, {1, 114}, {3, 3}, {17, 0}, {0, 17}} {
		for range step.push {
			q.push(in)
			in++
		}
		for range step.pop {
			if *q.front() != out {
				t.Fatalf("%d is first, want %d", *q.front(), out)
			}
			if v := q.pop(); v != out {
				t.Fatalf("got %d, want %d", v, out)
			}
			out++
		}
		if q.count != in-out {
			t.Fatalf("%d elements, want %d", q.count, in-out)
		}
	}
}

// A queue that empties again and again keeps its ring; one that has become idle
// gives it back with the first little that passes.
func TestFifoGivesBack(t *testing.T) {
	var q fifo[int]
	fill := func(n int) {
		for range n {
			q.push(1)
		}
		for range n {
			q.pop()
		}
	}
	fill(1000)
	if n := testing.AllocsPerRun(10, func() { fill(1000) }); n != 0 {
		t.Errorf("%v allocations for what there was room for", n)
	}
	fill(1)
	if len(q.ring) > keepRing {
		t.Errorf("keeps room for %d", len(q.ring))
	}
}

// A queue does not keep alive what has left it.
func TestFifoForgets(t *testing.T) {
	var q fifo[*int]
	q.push(new(int))
	q.push(new(int))
	q.pop()
	if q.ring[0] != nil {
		t.Error("the popped element is still there")
	}
}
