package multipath

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"flurry/common/vectors"
)

// beforeWrap is a little before sequence numbers begin again.
const beforeWrap = 1<<32 - 5

// startAt returns a sender whose next segment is sn.
func startAt(sn uint32) *sender { return &sender{una: sn, nxt: sn, end: sn, peerWindow: 1 << 16} }

// sendAll sends all that next offers, and returns the numbers.
func sendAll(s *sender) (sns []uint32) {
	for {
		sn, ok := s.next()
		if !ok {
			return sns
		}
		s.sent(sn)
		sns = append(sns, sn)
	}
}

// ackTo does what an una of sn does.
func ackTo(s *sender, sn uint32) {
	for ; s.una != sn; s.una++ {
		if seg := s.at(s.una); seg.state != arrived {
			s.arrive(seg)
		}
		*s.at(s.una) = outSegment{}
	}
}

func checkSender(t *testing.T, s *sender) {
	t.Helper()
	unsent, held := 0, 0
	for sn := s.una; sn != s.end; sn++ {
		seg := s.at(sn)
		if (seg.pkt == nil) != (seg.state == arrived) {
			t.Errorf("segment %d in state %d: data %v", sn, seg.state, seg.pkt != nil)
		}
		if seg.pkt == nil {
			continue
		}
		held += seg.pkt.n
		if !after(s.nxt, sn) {
			unsent += seg.pkt.n
		}
	}
	if s.unsent != unsent || s.held != held {
		t.Errorf("counts %d unsent and %d held, there are %d and %d", s.unsent, s.held, unsent, held)
	}
}

func TestWriteFillsTheLastSegment(t *testing.T) {
	s := startAt(beforeWrap)
	data := vectors.Payload(1, 250)
	s.write(data[:70], 100)
	s.write(data[70:90], 100)
	s.write(data[90:], 100)
	checkSender(t, s)
	var got []byte
	for sn := s.una; sn != s.end; sn++ {
		p := s.at(sn).pkt
		if p.n != 100 && sn != s.end-1 {
			t.Errorf("segment %d holds %d bytes", sn, p.n)
		}
		got = append(got, p.bytes()...)
	}
	if s.end-s.una != 3 || !bytes.Equal(got, data) {
		t.Errorf("%d segments, data intact: %v", s.end-s.una, bytes.Equal(got, data))
	}
}

func TestWriteLeavesWhatHasLeft(t *testing.T) {
	s := startAt(0)
	s.write([]byte("ab"), 100)
	sendAll(s)
	s.write([]byte("cd"), 100)
	if s.end != 2 || string(s.at(0).pkt.bytes()) != "ab" || string(s.at(1).pkt.bytes()) != "cd" {
		t.Error("a segment that had left was changed")
	}
	checkSender(t, s)
}

// A smaller size, when a lossy path has come, cuts a longer last segment not.
func TestWriteWithASmallerSize(t *testing.T) {
	s := startAt(0)
	s.write(make([]byte, 90), 100)
	s.write(make([]byte, 30), 50)
	if s.at(0).pkt.n != 90 || s.at(1).pkt.n != 30 {
		t.Errorf("segments of %d and %d bytes", s.at(0).pkt.n, s.at(1).pkt.n)
	}
	checkSender(t, s)
}

func TestLostOnesGoFirstAndInOrder(t *testing.T) {
	s := startAt(beforeWrap)
	s.write(make([]byte, 1000), 100)
	sns := sendAll(s)
	for _, i := range []int{7, 2, 9, 4} { // 4 and before are before the wrap
		s.lose(sns[i])
	}
	s.write(make([]byte, 100), 100)
	want := []uint32{sns[2], sns[4], sns[7], sns[9], s.nxt}
	if got := sendAll(s); !slices.Equal(got, want) {
		t.Errorf("sent %d, want %d", got, want)
	}
	if s.at(sns[2]).sends != 2 || s.at(sns[3]).sends != 1 {
		t.Error("miscounts transmissions")
	}
	checkSender(t, s)
}

func TestLostThenArrived(t *testing.T) {
	s := startAt(beforeWrap)
	s.write(make([]byte, 800), 100)
	sns := sendAll(s)
	for _, i := range []int{1, 3, 6} {
		s.lose(sns[i])
	}
	s.arrive(s.at(sns[3])) // its acknowledgement was late
	ackTo(s, sns[2])       // and this is beyond una
	if got, want := sendAll(s), []uint32{sns[6]}; !slices.Equal(got, want) {
		t.Errorf("sent %d, want %d", got, want)
	}
	checkSender(t, s)
	s.lose(sns[6]) // for the second time
	if sn, ok := s.next(); !ok || sn != sns[6] {
		t.Errorf("next is %d, %v", sn, ok)
	}
	ackTo(s, s.end)
	if _, ok := s.next(); ok || !s.empty() || s.held != 0 {
		t.Error("not empty")
	}
}

func TestPeerWindow(t *testing.T) {
	s := startAt(beforeWrap)
	s.peerWindow = 6
	s.write(make([]byte, 1000), 100)
	if n := len(sendAll(s)); n != 6 {
		t.Errorf("sent %d segments into a window of 6", n)
	}
	s.peerWindow = 0
	s.lose(s.una + 1)
	if got := sendAll(s); !slices.Equal(got, []uint32{s.una + 1}) {
		t.Errorf("sent %d: a window holds back new segments, not lost ones", got)
	}
	s.peerWindow = 6
	ackTo(s, s.una+2)
	if n := len(sendAll(s)); n != 2 {
		t.Errorf("sent %d segments more, want 2", n)
	}
}

func TestSenderGrowsAndShrinks(t *testing.T) {
	s := startAt(beforeWrap)
	const n = 5000
	data := vectors.Payload(3, n*7)
	s.write(data, 7)
	for i := range uint32(n) {
		if !bytes.Equal(s.at(beforeWrap+i).pkt.bytes(), data[i*7:i*7+7]) {
			t.Fatalf("segment %d is another", i)
		}
	}
	sendAll(s)
	s.lose(s.una)
	s.shrink()
	if len(s.ring) < n {
		t.Fatal("shrank with segments in it")
	}
	ackTo(s, s.end)
	s.shrink()
	if s.ring != nil || s.again != nil {
		t.Errorf("keeps room for %d segments and %d lost ones", len(s.ring), cap(s.again))
	}
	s.write(data[:14], 7)
	if sns := sendAll(s); len(sns) != 2 {
		t.Errorf("sent %d of 2", len(sns))
	}
	checkSender(t, s)
}

// All that can happen to segments, in any order, loses none of them.
func TestSenderAtRandom(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	s := startAt(1<<32 - 1000)
	written := 0
	for range 20_000 {
		switch rng.IntN(6) {
		case 0:
			n := rng.IntN(400)
			s.write(make([]byte, n), 100)
			written += n
		case 1, 2:
			if sn, ok := s.next(); ok {
				s.sent(sn)
			}
		case 3:
			if s.nxt != s.una {
				if sn := s.una + rng.Uint32N(s.nxt-s.una); s.at(sn).state == flying {
					s.lose(sn)
				}
			}
		case 4:
			if s.nxt != s.una {
				if seg := s.at(s.una + rng.Uint32N(s.nxt-s.una)); seg.state != arrived {
					s.arrive(seg)
				}
			}
		case 5:
			for s.una != s.nxt && s.at(s.una).state == arrived {
				ackTo(s, s.una+1)
			}
		}
	}
	checkSender(t, s)
	if s.una < 1<<31 && s.una < 1000 {
		t.Fatalf("has not come past the wrap: una is %d", s.una)
	}
	for sn := s.una; sn != s.nxt; sn++ {
		if seg := s.at(sn); seg.state == flying {
			s.lose(sn)
		}
	}
	want := 0
	for sn := s.una; sn != s.end; sn++ {
		if s.at(sn).state != arrived {
			want++
		}
	}
	if got := sendAll(s); len(got) != want || !slices.IsSortedFunc(got, func(a, b uint32) int { return int(int32(a - b)) }) {
		t.Errorf("sent %d segments in order %v, %d were left", len(got), slices.IsSorted(got), want)
	}
}
