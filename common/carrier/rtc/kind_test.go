package rtc

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"flurry/common/carrier"
	"flurry/common/carrier/carriertest"
	"flurry/common/sdp"
)

// unorderedPair connects two Endpoints over loopback by an unordered channel.
func unorderedPair(t testing.TB) (offerer, answerer *Conn) {
	t.Helper()
	return pairOf(t, Config{KeepLocalAddresses: true}, Config{KeepLocalAddresses: true}, func(string) Kind { return Unordered })
}

func TestUnorderedContract(t *testing.T) {
	carriertest.Check(t, func(t *testing.T) (a, b carrier.Conn) { return unorderedPair(t) })
}

// Both ends know the kind, whatever else they know.
func TestKinds(t *testing.T) {
	for kind, pair := range map[Kind]func(testing.TB) (*Conn, *Conn){Reliable: pair, Unordered: unorderedPair} {
		a, b := pair(t)
		for _, c := range []*Conn{a, b} {
			if got := c.Traits(); got.Kind != string(kind) || got.Stream != (kind == Reliable) || got.Lossy != (kind == Unordered) {
				t.Errorf("%s: %+v", kind, got)
			}
		}
		a.Close()
		b.Close()
	}
}

// The choice is made with the answer's SDP in hand, and an answer says that
// edges are kept where its Endpoint was told so, and only there.
func TestChoiceSeesTheAnswer(t *testing.T) {
	choose := func(answer string) Kind {
		if sdp.KeepsEdges(answer) {
			return Unordered
		}
		return Reliable
	}
	for keeps, want := range map[bool]Kind{true: Unordered, false: Reliable} {
		a, b := pairOf(t, Config{KeepLocalAddresses: true, KeepsEdges: true}, Config{KeepLocalAddresses: true, KeepsEdges: keeps}, choose)
		if kind := b.Traits().Kind; kind != string(want) {
			t.Errorf("keeping edges %v: %s", keeps, kind)
		}
		a.Close()
		b.Close()
	}
}

// Messages of an unordered channel are never joined, and cut at the end of the
// receiver's buffer.
func TestUnorderedKeepsEdges(t *testing.T) {
	a, b := unorderedPair(t)
	defer a.Close()
	defer b.Close()
	sizes := []int{1, 2048, 7, onePacket, onePacket + 1, 100}
	const room = 1300
	for i, size := range sizes {
		// One at a time: several may change places.
		want := bytes.Repeat([]byte{byte(i)}, size)
		if err := a.Send(context.Background(), want); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, room)
		n, err := b.Recv(buf)
		if err != nil || !bytes.Equal(buf[:n], want[:min(size, room)]) {
			t.Errorf("message of %d bytes came as %d, %v", size, n, err)
		}
	}
	if err := a.Send(context.Background(), make([]byte, maxUnordered+1)); !errors.Is(err, carrier.ErrTooLong) {
		t.Errorf("too long a message: %v", err)
	}
}
