package sdp_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"flurry/common/sdp"
	"flurry/common/vectors"
)

func TestSDPVectors(t *testing.T) {
	vectors.Run(t, "sdp", map[string]func(*testing.T, vectors.Case){
		"deserialize":     deserialize,
		"serialize":       serialize,
		"is_local":        isLocal,
		"strip_local":     stripLocal,
		"candidate_addrs": candidateAddrs,
	})
}

func deserialize(t *testing.T, c vectors.Case) {
	type parsed struct {
		OK   bool   `json:"ok"`
		Type string `json:"type"`
		SDP  string `json:"sdp"`
	}
	var in struct{ Text string }
	var want parsed
	c.Decode(t, &in, &want)
	d, err := sdp.Parse(in.Text)
	if got := (parsed{err == nil, d.Type, d.SDP}); err == nil && got != want || err != nil && want.OK {
		t.Errorf("got %+v (%v), want %+v", got, err, want)
	}
}

func serialize(t *testing.T, c vectors.Case) {
	var in sdp.Description
	var want struct {
		OK   bool
		Text string
	}
	c.Decode(t, &in, &want)
	// The text is the reference's; what counts is that it says the same.
	text := in.String()
	got, err := sdp.Parse(text)
	if !want.OK {
		if err == nil {
			t.Errorf("%q is accepted", text)
		}
		return
	}
	reference, errReference := sdp.Parse(want.Text)
	if err != nil || errReference != nil || got != in || reference != in {
		t.Errorf("%q reads as %+v (%v), want %q", text, got, err, want.Text)
	}
}

func isLocal(t *testing.T, c vectors.Case) {
	var in struct{ IP string }
	var want struct {
		Local   bool
		Dropped bool `json:"dropped_as_host_candidate"`
	}
	c.Decode(t, &in, &want)
	addr, err := netip.ParseAddr(in.IP)
	if err != nil {
		t.Fatal(err)
	}
	if sdp.IsPrivate(addr) != want.Local || sdp.IsLocal(addr) != want.Dropped {
		t.Errorf("%v: private %v, local %v", addr, sdp.IsPrivate(addr), sdp.IsLocal(addr))
	}
}

func stripLocal(t *testing.T, c vectors.Case) {
	var in struct{ SDP string }
	var want struct {
		SDP        string
		Candidates []string
	}
	c.Decode(t, &in, &want)
	got := sdp.StripLocal(in.SDP)
	if got != want.SDP {
		t.Errorf("got %q, want %q", got, want.SDP)
	}
	if lines := candidateLines(got); !slices.Equal(lines, want.Candidates) {
		t.Errorf("candidates %q, want %q", lines, want.Candidates)
	}
}

func candidateLines(text string) (lines []string) {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "a=candidate:") {
			lines = append(lines, strings.TrimRight(line, "\r\n"))
		}
	}
	return lines
}

func candidateAddrs(t *testing.T, c vectors.Case) {
	var in struct{ SDP string }
	var want struct{ Addrs []string }
	c.Decode(t, &in, &want)
	got := []string{}
	for _, a := range sdp.CandidateAddrs(in.SDP) {
		got = append(got, a.String())
	}
	if !slices.Equal(got, want.Addrs) {
		t.Errorf("got %q, want %q", got, want.Addrs)
	}
}

func TestRemoteAddrVectors(t *testing.T) {
	vectors.Run(t, "proxy_misc", map[string]func(*testing.T, vectors.Case){
		"remote_ip": remoteIP,
	}, "clients_reported", "traffic", "summary_line") // proxy
}

func remoteIP(t *testing.T, c vectors.Case) {
	var in struct{ SDP string }
	var want struct{ IP string }
	c.Decode(t, &in, &want)
	got := ""
	if addr, ok := sdp.RemoteAddr(in.SDP); ok {
		got = addr.String()
	}
	if got != want.IP {
		t.Errorf("got %q, want %q", got, want.IP)
	}
}
