package fuzz

import (
	"slices"
	"strings"
	"testing"

	"flurry/common/sdp"
)

// sdpSeeds are the session descriptions among the vectors.
func sdpSeeds(f *testing.F) []string {
	return append(seeds(f, "sdp", "sdp"), seeds(f, "proxy_misc", "sdp")...)
}

// Stripping adds no address, and takes none that is not local.
func FuzzStripLocal(f *testing.F) {
	for _, s := range sdpSeeds(f) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > maxInput {
			return
		}
		stripped := sdp.StripLocal(text)
		bounded(t, "stripped description", len(stripped), len(text))
		before, after := sdp.CandidateAddrs(text), sdp.CandidateAddrs(stripped)
		for _, a := range after {
			if !slices.Contains(before, a) {
				t.Errorf("%v came from nowhere", a)
			}
		}
		for _, a := range before {
			if !sdp.IsLocal(a) && !slices.Contains(after, a) {
				t.Errorf("%v is gone", a)
			}
		}
	})
}

// The address told to the bridge is never a local one, and stands in the text.
func FuzzRemoteAddr(f *testing.F) {
	for _, s := range sdpSeeds(f) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > maxInput {
			return
		}
		addr, ok := sdp.RemoteAddr(text)
		if ok != addr.IsValid() {
			t.Errorf("got %v, %v", addr, ok)
		}
		if !ok {
			return
		}
		if sdp.IsLocal(addr) || addr.Zone() != "" || addr.Is4In6() {
			t.Errorf("got %v", addr)
		}
		if !slices.Contains(sdp.CandidateAddrs(text), addr) && !strings.Contains(text, "c=") {
			t.Errorf("%v came from nowhere", addr)
		}
	})
}
