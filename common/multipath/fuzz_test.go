package multipath

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"testing"
	"time"

	"flurry/common/encapsulation"
	"flurry/common/vectors"
)

// Whatever passes as a packet, the tracker's memory stays bounded, its numbers
// in order, and nothing of a packet but the timestamps of data is touched.
func FuzzSegments(f *testing.F) {
	packets := capturedPackets(f)
	for i, p := range packets {
		f.Add(p, packets[(i+1)%len(packets)], uint16(40))
	}
	f.Fuzz(func(t *testing.T, sent, received []byte, wait uint16) {
		for rest := sent; ; {
			_, after, ok := nextSegment(rest)
			if !ok {
				break
			}
			if len(after) > len(rest)-kcpHeader {
				t.Fatalf("%d bytes are left of %d", len(after), len(rest))
			}
			rest = after
		}
		restampOnlyTimes(t, sent, time.Duration(wait)*time.Millisecond)

		tr := tracker{better: func(time.Time) bool { return wait%2 == 0 }}
		now := time.Unix(0, 0)
		for range 2 { // the second time everything is a retransmission
			tr.outgoing(sent, now)
			tr.mark(sent, nil, now)
			checkTracker(t, &tr)
			now = now.Add(time.Duration(wait) * time.Millisecond)
			tr.incoming(received, now)
			checkTracker(t, &tr)
		}
	})
}

func checkTracker(t *testing.T, tr *tracker) {
	t.Helper()
	if len(tr.ring) > maxTracked || tr.inFlight() < 0 || tr.inFlight() > len(tr.ring) {
		t.Errorf("%d segments in flight, %d slots", tr.inFlight(), len(tr.ring))
	}
	if tr.srtt < 0 {
		t.Errorf("round trip %v", tr.srtt)
	}
}

// restampOnlyTimes fails the test if restamp changes more than the timestamps.
func restampOnlyTimes(t *testing.T, p []byte, waited time.Duration) {
	t.Helper()
	changed := bytes.Clone(p)
	restamp(changed, waited)
	for at := 0; at < len(p); {
		s, rest, ok := nextSegment(p[at:])
		if !ok {
			rest = nil
		}
		end := len(p) - len(rest)
		if ok && s.cmd == cmdPush {
			copy(changed[at+8:at+12], p[at+8:at+12])
		}
		at = end
	}
	if !bytes.Equal(changed, p) {
		t.Errorf("%x became %x", p, changed)
	}
}

// capturedPackets are the packets of the exchanges among the vectors.
func capturedPackets(f *testing.F) (packets [][]byte) {
	for _, c := range vectors.Load(f, "tunnel").Cases {
		var in struct {
			Down string `json:"downstream_hex"`
		}
		if err := json.Unmarshal(c.In, &in); err != nil || in.Down == "" {
			continue
		}
		stream, err := hex.DecodeString(in.Down)
		if err != nil {
			f.Fatal(err)
		}
		r := encapsulation.NewReader(bytes.NewReader(stream))
		for {
			buf := make([]byte, 2048)
			n, _, err := r.ReadPacket(buf)
			if err != nil {
				break
			}
			packets = append(packets, buf[:n])
		}
	}
	if len(packets) == 0 {
		f.Fatal("no captured packets")
	}
	return packets
}
