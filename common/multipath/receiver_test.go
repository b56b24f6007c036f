package multipath

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"flurry/common/vectors"
)

func receiveAt(sn uint32, limit int) *receiver { return &receiver{next: sn, limit: limit} }

// put gives r one segment.
func put(r *receiver, sn uint32, data string) (fresh, kept bool) {
	p := newPacket()
	p.n = copy(p.data[:], data)
	fresh, kept = r.take(header{cmd: cmdPush, sn: sn, ts: sn * 10}, p, p.bytes())
	if !kept {
		p.free()
	}
	return fresh, kept
}

// all reads what is in order.
func all(r *receiver) string {
	var got []byte
	b := make([]byte, 3)
	for {
		n := r.read(b)
		if n == 0 {
			return string(got)
		}
		got = append(got, b[:n]...)
	}
}

// owes returns what r acknowledges, as Conn takes it.
func owes(r *receiver) []ack {
	if len(r.acks) == 0 {
		return nil
	}
	owed := slices.Clone(r.owed())
	r.acks = r.acks[:0]
	return owed
}

func sns(acks []ack) (sns []uint32) {
	for _, a := range acks {
		sns = append(sns, a.sn)
	}
	return sns
}

func TestReceiverOrders(t *testing.T) {
	for _, first := range []uint32{0, beforeWrap} {
		const n = 3000
		r := receiveAt(first, 1<<30)
		order := rand.New(rand.NewPCG(1, uint64(first))).Perm(n)
		data := vectors.Payload(1, n*5)
		for _, i := range order {
			if fresh, kept := put(r, first+uint32(i), string(data[i*5:i*5+5])); !fresh || !kept {
				t.Fatalf("segment %d: fresh %v, kept %v", i, fresh, kept)
			}
		}
		if got := all(r); got != string(data) {
			t.Errorf("from %d: %d bytes of %d, or changed", first, len(got), len(data))
		}
		if r.bytes != 0 || r.early != 0 || r.next != first+n {
			t.Errorf("%d bytes, %d early, next %d after the end", r.bytes, r.early, r.next)
		}
		put(r, r.next, "x")
		all(r)
		if len(r.ring) > keepRing || len(r.ready.ring) > keepRing {
			t.Errorf("keeps room for %d early segments and %d in order", len(r.ring), len(r.ready.ring))
		}
	}
}

func TestReceiverDuplicates(t *testing.T) {
	r := receiveAt(beforeWrap, 1<<20)
	put(r, beforeWrap, "a")
	put(r, beforeWrap+2, "c")
	for _, sn := range []uint32{beforeWrap, beforeWrap + 2, beforeWrap - 1, beforeWrap - 1<<30} {
		if fresh, kept := put(r, sn, "x"); fresh || kept {
			t.Errorf("%d: fresh %v, kept %v", sn, fresh, kept)
		}
	}
	put(r, beforeWrap+1, "b")
	if got := all(r); got != "abc" {
		t.Errorf("got %q", got)
	}
	if got := sns(owes(r)); !slices.Contains(got, beforeWrap+1) {
		t.Errorf("%d acknowledged", got)
	}
}

func TestReceiverFarAhead(t *testing.T) {
	r := receiveAt(100, 1<<30)
	for _, sn := range []uint32{100 + reach, 100 + 1<<31 - 1} {
		if _, kept := put(r, sn, "x"); kept {
			t.Errorf("%d is kept", sn)
		}
	}
	if len(r.acks) != 0 {
		t.Error("what is not kept is acknowledged")
	}
	if _, kept := put(r, 100+reach-1, "x"); !kept {
		t.Error("the last within reach is not kept")
	}
}

func TestReceiverBound(t *testing.T) {
	const room = 200
	r := receiveAt(0, room*maxPacket)
	for sn := range uint32(2 * room) {
		put(r, sn*2+1, "x") // early, all of them
	}
	if r.bytes > r.limit {
		t.Errorf("holds %d bytes, above %d", r.bytes, r.limit)
	}
	for i := range r.next + 2*room {
		put(r, i, "y")
	}
	if r.bytes > r.limit {
		t.Errorf("holds %d bytes, above %d", r.bytes, r.limit)
	}
}

// However much has come early, there is room for the one that all wait for.
func TestReceiverIsNeverStuck(t *testing.T) {
	r := receiveAt(0, 46*maxPacket)
	for sn := uint32(1); sn < firstPeerWindow; sn++ {
		put(r, sn, "x") // a peer's first window (spec section 7.3) is larger than our room
	}
	for range firstPeerWindow {
		if _, kept := put(r, r.next, "x"); !kept {
			t.Fatalf("segment %d, the next one, is refused with %d early", r.next, r.early)
		}
		all(r)
	}
}

func TestReceiverWindow(t *testing.T) {
	const room = 10
	r := receiveAt(0, room*maxPacket)
	if r.window() != room {
		t.Errorf("window of %d, want %d", r.window(), room)
	}
	put(r, 3, "x") // has its place in the window already
	if r.window() != room {
		t.Errorf("window of %d with an early segment, want %d", r.window(), room)
	}
	for sn := range uint32(room) {
		put(r, sn, "x")
	}
	if r.window() != 0 {
		t.Errorf("window of %d when full", r.window())
	}
	r.read(make([]byte, 4))
	if r.window() != 4 {
		t.Errorf("window of %d after 4 were read", r.window())
	}
	if w := receiveAt(0, 1<<30).window(); w != 1<<16-1 {
		t.Errorf("window of %d with room for more than the header can say", w)
	}
}

func TestReceiverOwes(t *testing.T) {
	r := receiveAt(0, 1<<20)
	for _, sn := range []uint32{0, 1, 5, 2, 7} {
		put(r, sn, "x")
	}
	if got, want := owes(r), []ack{{5, 50}, {7, 70}}; !slices.Equal(got, want) {
		t.Errorf("owes %v, want %v", got, want)
	}
	put(r, 9, "x")
	put(r, 3, "x")
	if got, want := owes(r), []ack{{9, 90}, {3, 30}}; !slices.Equal(got, want) {
		t.Errorf("owes %v, want %v: the latest, for its time stamp, though una says so", got, want)
	}
	if owes(r) != nil {
		t.Error("owes the same twice")
	}
}

// Where the other end resends what it has not heard of, acknowledgements go
// twice, for a while.
func TestReceiverRepeats(t *testing.T) {
	r := receiveAt(0, 1<<20)
	put(r, 5, "x")
	put(r, 6, "x")
	owes(r)
	put(r, 5, "x") // its acknowledgement has got lost
	if got, want := sns(owes(r)), []uint32{5}; !slices.Equal(got, want) {
		t.Errorf("acknowledges %d, want %d", got, want)
	}
	put(r, 8, "x")
	if got, want := sns(owes(r)), []uint32{8, 5}; !slices.Equal(got, want) {
		t.Errorf("acknowledges %d, want %d", got, want)
	}
	turns := 0
	for sn := uint32(10); sn < 1000; sn += 2 {
		put(r, sn, "x")
		if len(owes(r)) == 1 {
			break
		}
		turns++
	}
	if turns > repeats {
		t.Errorf("repeats for %d turns, want at most %d", turns, repeats)
	}
}

func TestReceiverCopies(t *testing.T) {
	r := receiveAt(0, 1<<20)
	for i, s := range []string{"abc", "", "defgh"} {
		put(r, uint32(i), s)
	}
	b := make([]byte, 5)
	if n := r.read(b); n != 5 || !bytes.Equal(b, []byte("abcde")) {
		t.Errorf("read %q", b[:n])
	}
	if n := r.read(b); string(b[:n]) != "fgh" || r.bytes != 0 {
		t.Errorf("read %q, %d bytes are left", b[:n], r.bytes)
	}
}
