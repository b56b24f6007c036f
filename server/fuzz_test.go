package main

import (
	"net"
	"strings"
	"testing"

	pt "gitlab.torproject.org/tpo/anti-censorship/pluggable-transports/goptlib"

	"flurry/common/vectors"
)

// Options that are accepted lead to a number of shards within bounds, and to
// source addresses that lie in the range that was asked for.
func FuzzTransportOptions(f *testing.F) {
	for _, c := range vectors.Load(f, "server_srcaddr").Cases {
		var in struct{ Text string }
		c.Decode(f, &in, nil)
		f.Add(in.Text, "2")
	}
	f.Add("127.0.2.0/24", "0")
	f.Add("::1/128", "-1")
	f.Fuzz(func(t *testing.T, source, shards string) {
		o, err := parseTransportOptions(pt.Args{"orport-srcaddr": {source}, "num-turbotunnel": {shards}})
		if err != nil {
			if !strings.HasPrefix(err.Error(), "parsing ") {
				t.Errorf("error %q does not say what was parsed", err)
			}
			return
		}
		if o.shards < 1 || o.shards > maxShards {
			t.Errorf("%d shards", o.shards)
		}
		if o.source == nil {
			t.Fatalf("%q asks for nothing", source)
		}
		ip := randomIP(o.source)
		if !o.source.Contains(ip) {
			t.Errorf("%v is outside %v", ip, o.source)
		}
		if single := net.ParseIP(source); single != nil && !ip.Equal(single) {
			t.Errorf("%v is not %v", ip, single)
		}
	})
}
