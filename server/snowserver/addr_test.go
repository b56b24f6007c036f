package snowserver

import (
	"net/netip"
	"testing"

	"flurry/common/vectors"
)

func TestServerClientAddrVectors(t *testing.T) {
	vectors.Run(t, "server_client_addr", map[string]func(*testing.T, vectors.Case){
		"client_addr": func(t *testing.T, c vectors.Case) {
			var in struct {
				ClientIP string `json:"client_ip"`
			}
			var out struct {
				UserAddr string `json:"useraddr"`
			}
			c.Decode(t, &in, &out)
			if got := (ClientAddr{parseClientIP(in.ClientIP)}).String(); got != out.UserAddr {
				t.Errorf("%q gives %q, want %q", in.ClientIP, got, out.UserAddr)
			}
		},
	})
}

// Whatever a proxy says, tor gets a USERADDR it can read, or none.
func FuzzClientIP(f *testing.F) {
	for _, c := range vectors.Load(f, "server_client_addr").Cases {
		var in struct {
			ClientIP string `json:"client_ip"`
		}
		c.Decode(f, &in, nil)
		f.Add(in.ClientIP)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := ClientAddr{parseClientIP(text)}.String()
		if got == "" {
			return
		}
		a, err := netip.ParseAddrPort(got)
		if err != nil || a.Port() != 1 || a.Addr().Zone() != "" || a.Addr().Is4In6() || a.Addr().IsUnspecified() {
			t.Errorf("%q gives %q", text, got)
		}
		if !a.Addr().IsValid() || parseClientIP(a.Addr().String()) != a.Addr() {
			t.Errorf("%q gives %q, which does not come back", text, got)
		}
	})
}
