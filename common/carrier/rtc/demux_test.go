package rtc

import "testing"

// RFC 7983 section 7.
func TestClassify(t *testing.T) {
	want := func(b int) packetClass {
		switch {
		case b <= 3:
			return stunPacket
		case b >= 20 && b <= 63:
			return dtlsPacket
		case b >= 128 && b <= 191:
			return mediaPacket
		}
		return otherPacket
	}
	for b := range 256 {
		if got := classify([]byte{byte(b), 1, 2}); got != want(b) {
			t.Errorf("%d: %d", b, got)
		}
	}
	if classify(nil) != otherPacket {
		t.Error("nothing is something")
	}
}
