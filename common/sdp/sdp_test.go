package sdp_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"flurry/common/sdp"
)

// head begins a session description with one media section.
const head = "v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n"

// offer returns a session description with these lines in its media section.
func offer(lines ...string) string {
	return head + strings.Join(lines, "\r\n") + "\r\n"
}

func TestCandidateAddrsOrder(t *testing.T) {
	got := sdp.CandidateAddrs(offer(
		"a=candidate:1 1 udp 9 192.0.2.1 9 typ relay raddr 0.0.0.0 rport 0",
		"a=candidate:1 1 udp 9 192.0.2.2 9 typ srflx raddr 0.0.0.0 rport 0",
		"a=candidate:1 1 udp 9 192.0.2.3 9 typ prflx raddr 0.0.0.0 rport 0",
		"a=candidate:1 1 udp 1 192.0.2.4 9 typ host",
		"a=candidate:1 1 udp 2 192.0.2.5 9 typ host",
		"a=candidate:1 1 udp 1 192.0.2.6 9 typ host",
		"a=candidate:1 1 udp 9 name.local 9 typ host",
	))
	const want = "[192.0.2.5 192.0.2.6 192.0.2.4 192.0.2.3 192.0.2.2 192.0.2.1]"
	if fmt.Sprint(got) != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Lines that are nearly candidates count as none, and stay.
func TestMalformedCandidates(t *testing.T) {
	for _, line := range []string{
		"a=candidate:",
		"a=candidate:1 1 udp 1 10.0.0.1 9 typ",
		"a=candidate:1 1 udp 1 10.0.0.1 9 type host",
		"a=candidate:1 1 udp 1 10.0.0.1 9 typ other",
		"a=candidate:1 1 sctp 1 10.0.0.1 9 typ host",
		"a=candidate:1 x udp 1 10.0.0.1 9 typ host",
		"a=candidate:1 65536 udp 1 10.0.0.1 9 typ host",
		"a=candidate:1 1 udp 4294967296 10.0.0.1 9 typ host",
		"a=candidate:1 1 udp -1 10.0.0.1 9 typ host",
		"a=candidate:1 1 udp 1 10.0.0.1 65536 typ host",
		"a=candidate:1 1 udp 1 10.0.0.01 9 typ srflx",
	} {
		text := offer(line)
		if got := sdp.StripLocal(text); got != text {
			t.Errorf("%q: stripped to %q", line, got)
		}
		if got := sdp.CandidateAddrs(text); len(got) != 0 {
			t.Errorf("%q: addresses %v", line, got)
		}
	}
}

func TestStripLocalNothingToStrip(t *testing.T) {
	for _, text := range []string{"", "v=0\n", head, strings.ReplaceAll(offer("c=IN IP4 0.0.0.0"), "\r\n", "\n")} {
		if got := sdp.StripLocal(text); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
}

func TestStripLocalKeepsTheRest(t *testing.T) {
	kept := "a=candidate:1 1 udp 1 192.0.2.1 9 typ host"
	got := sdp.StripLocal(offer(
		"a=candidate:1 1 UDP 1 fe80::1%eth0 9 typ host",
		kept,
		"a=candidate: 1 udp 1 ::ffff:10.0.0.1 9 typ host generation 0",
		"a=ice-ufrag:x",
	))
	if want := offer(kept, "a=ice-ufrag:x"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRemoteAddr(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", ""},
		{"hello", ""},
		{offer("c=IN IP4 224.2.1.1/127/3"), "224.2.1.1"},
		{offer("c=IN IP6 ff15::101/3"), "ff15::101"},
		{offer("c=IN IP6 fd00::1"), ""},
		{offer("c=IN IP4 host.example"), ""},
		{strings.Replace(head, "t=0", "c=IN IP4 192.0.2.9\r\nt=0", 1), "192.0.2.9"},
		{offer("c=IN IP4 192.0.2.9", "a=candidate:1 1 udp 1 192.0.2.1 9 typ relay raddr 0.0.0.0 rport 0"), "192.0.2.1"},
		{offer("c=IN IP4 192.0.2.9", "a=candidate:1 1 udp 1 ::ffff:192.0.2.1 9 typ host"), "192.0.2.1"},
		{offer("c=IN IP4 192.0.2.9", "a=candidate:1 1 udp 1 :: 9 typ host"), "192.0.2.9"},
	} {
		got := ""
		if addr, ok := sdp.RemoteAddr(c.text); ok {
			got = addr.String()
		}
		if got != c.want {
			t.Errorf("%q: got %q, want %q", c.text, got, c.want)
		}
	}
}

func TestIsLocalZone(t *testing.T) {
	if !sdp.IsLocal(netip.MustParseAddr("fe80::1%eth0")) {
		t.Error("a zone makes a link-local address another")
	}
}

func ExampleParse() {
	d, err := sdp.Parse(`{"type":"offer","sdp":"v=0\r\n"}`)
	fmt.Printf("%s %q %v\n", d.Type, d.SDP, err)
	fmt.Println(d)
	// Output:
	// offer "v=0\r\n" <nil>
	// {"type":"offer","sdp":"v=0\r\n"}
}
