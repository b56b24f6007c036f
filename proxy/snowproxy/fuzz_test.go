package snowproxy

import (
	"net/netip"
	"testing"

	"flurry/common/messages"
	"flurry/common/vectors"
)

// A relay that is accepted is one of the operator's, by TLS, and not a private
// address.
func FuzzRelayURL(f *testing.F) {
	for _, c := range vectors.Load(f, "relay_url").Cases {
		var in struct {
			Pattern      string
			URL          string
			AllowPrivate bool `json:"allow_private"`
			AllowNonTLS  bool `json:"allow_non_tls"`
		}
		c.Decode(f, &in, nil)
		f.Add(in.URL, in.Pattern, in.AllowPrivate, in.AllowNonTLS)
	}
	f.Fuzz(func(t *testing.T, text, pattern string, allowPrivate, allowNonTLS bool) {
		policy := relayPolicy{messages.ParseRelayPattern(pattern), allowPrivate, allowNonTLS}
		u, err := policy.check(text)
		if err != nil {
			if u != nil {
				t.Errorf("refused with a URL: %v", u)
			}
			return
		}
		if u.Scheme != "wss" && u.Scheme != "https" && !(u.Scheme == "ws" && allowNonTLS) {
			t.Errorf("accepted scheme %q", u.Scheme)
		}
		if !policy.pattern.Matches(u.Hostname()) {
			t.Errorf("accepted host %q for %q", u.Hostname(), pattern)
		}
		if a, err := netip.ParseAddr(u.Hostname()); err == nil && !allowPrivate {
			if a = a.Unmap(); a.IsPrivate() || a.IsLoopback() || a.IsUnspecified() || a.IsLinkLocalUnicast() {
				t.Errorf("accepted %v", a)
			}
		}
	})
}
