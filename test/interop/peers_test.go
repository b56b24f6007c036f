package interop

import (
	"context"
	"fmt"
	"regexp"
	"testing"

	"flurry/test/stage"
)

// TestDeployedPeers pairs our client and proxy with those of Debian, in every mix, under our broker and server. Each pair
// carries 5 MB both ways.
func TestDeployedPeers(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	ours := programs(t)
	// Debian's proxy asks the public probe service for the kind of its NAT. Tests keep to this machine: a proxy for the web
	// that refuses connections refuses that one. It does not concern connections to loopback.
	script := "#!/bin/sh\nHTTPS_PROXY=http://127.0.0.1:9 https_proxy=http://127.0.0.1:9 exec %s \"$@\"\n"
	deployed := stage.Programs{
		Client: need(t, "snowflake-client", "snowflake-client"),
		Proxy:  l.executable("deployed-proxy", fmt.Sprintf(script, need(t, "snowflake-proxy", "snowflake-proxy"))),
	}
	for _, client := range []struct{ who, file string }{{"our", ours.Client}, {"deployed", deployed.Client}} {
		for _, proxy := range []struct{ who, file string }{{"our", ours.Proxy}, {"deployed", deployed.Proxy}} {
			t.Run(client.who+" client, "+proxy.who+" proxy", func(t *testing.T) {
				t.Parallel() // Debian's client waits ten seconds after a refusal.
				s := newStage(t, stage.Options{
					Programs: stage.Programs{Client: client.file, Proxy: proxy.file, Broker: ours.Broker, Server: ours.Server},
					Proxies:  2, AnyExit: client.who != "our" || proxy.who != "our"})
				carry(t, s, 5_000_000)
				if client.who == "our" {
					wantKind(t, s, map[string]string{"our": "rtc-unordered", "deployed": "rtc-reliable"}[proxy.who])
				}
			})
		}
	}
}

// wantKind fails the test if the client has had channels of another kind, or none.
func wantKind(t *testing.T, s *stage.Stage, kind string) {
	t.Helper()
	told := regexp.MustCompile(`connected to a proxy.*kind=(\S+)`).FindAllStringSubmatch(s.Client().Log(), -1)
	if len(told) == 0 {
		t.Error("the client's log tells of no channel")
	}
	for _, m := range told {
		if m[1] != kind {
			t.Errorf("a channel of the kind %s, want %s", m[1], kind)
		}
	}
}

// carry moves a file of that size down through a stage and another one up.
func carry(t *testing.T, s *stage.Stage, size int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), sessionLimit)
	defer cancel()
	c, err := s.Dial(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := stage.Get(ctx, c, 1, size, nil); err != nil {
		t.Fatal(err)
	}
	if c, err = s.Dial(ctx, nil); err != nil {
		t.Fatal(err)
	}
	if err := stage.Put(ctx, c, 2, size); err != nil {
		t.Fatal(err)
	}
}
