package snowbroker

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"flurry/common/messages"
)

// report is the report that ended then: nothing, but for the changed lines.
func report(end string, changed ...string) string {
	lines := []string{
		"snowflake-stats-end " + end + " (86400 s)",
		"snowflake-ips ",
		"snowflake-ips-standalone 0",
		"snowflake-ips-webext 0",
		"snowflake-ips-badge 0",
		"snowflake-ips-iptproxy 0",
		"snowflake-ips-bloco 0",
		"snowflake-ips-total 0",
		"snowflake-idle-count 0",
		"snowflake-proxy-poll-with-relay-url-count 0",
		"snowflake-proxy-poll-without-relay-url-count 0",
		"snowflake-proxy-rejected-for-relay-url-count 0",
		"client-denied-count 0",
		"client-restricted-denied-count 0",
		"client-unrestricted-denied-count 0",
		"client-snowflake-match-count 0",
		"client-snowflake-timeout-count 0",
		"client-http-count 0",
		"client-http-ips ",
		"client-ampcache-count 0",
		"client-ampcache-ips ",
		"client-sqs-count 0",
		"client-sqs-ips ",
		"snowflake-ips-nat-restricted 0",
		"snowflake-ips-nat-unrestricted 0",
		"snowflake-ips-nat-unknown 0",
	}
	for _, c := range changed {
		keyword, _, _ := strings.Cut(c, " ")
		for i, l := range lines {
			if strings.HasPrefix(l, keyword+" ") {
				lines[i] = c
			}
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

// TestMetricsLog: a report a day, with the day's counts and no others.
func TestMetricsLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		b, err := New(Config{MetricsLog: &log})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- b.Run(ctx) }()
		k := Kind{messages.ProxyBadge, messages.NATRestricted}
		b.record.poll(k, true, true)
		b.record.pollEnded(k, true)
		for range 9 {
			b.record.poll(k, true, true)
			b.record.pollEnded(k, false)
		}
		b.record.poll(k, false, false)
		b.record.client(outcomeMatched, messages.NATUnknown, unknownCountry, messages.ProxyBadge)
		b.record.client(outcomeTimeout, messages.NATUnknown, unknownCountry, "")
		b.record.client(outcomeDenied, messages.NATUnknown, unknownCountry, "")
		b.record.client(outcomeDenied, messages.NATRestricted, unknownCountry, "")
		for range 9 {
			b.record.client(outcomeDenied, messages.NATUnrestricted, "DE", "")
		}
		time.Sleep(48*time.Hour + time.Minute) // synctest's epoch is 2000-01-01
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		want := report("2000-01-02 00:00:00",
			"snowflake-idle-count 16",
			"snowflake-proxy-poll-with-relay-url-count 16",
			"snowflake-proxy-poll-without-relay-url-count 8",
			"snowflake-proxy-rejected-for-relay-url-count 8",
			"client-denied-count 16",
			"client-restricted-denied-count 8",
			"client-unrestricted-denied-count 16",
			"client-snowflake-match-count 8",
			"client-snowflake-timeout-count 8",
			"client-http-count 16",
			"client-http-ips DE=16,??=8",
		) + report("2000-01-03 00:00:00")
		if got := log.String(); got != want {
			t.Errorf("got:\n%s\nwant:\n%s", got, want)
		}
	})
}

// TestAddressStats: with a country lookup, distinct addresses are counted.
func TestAddressStats(t *testing.T) {
	s := newSite(t, Config{Country: countryOfTests}, MemoryOptions{PollWait: time.Millisecond})
	poll := func(nat, from string) {
		t.Helper()
		do(t, s.Server, http.MethodPost, "/proxy", pollBody("p", nat), map[string]string{"X-Forwarded-For": from})
	}
	poll("unrestricted", "8.8.8.8")
	poll("unrestricted", "8.8.8.8")
	poll("restricted", "8.8.8.8")
	poll("restricted", "9.9.9.9")
	do(t, s.Server, http.MethodPost, "/client", clientBody("unknown"), map[string]string{"Forwarded": "for=8.8.8.8"})
	var log bytes.Buffer
	if err := s.b.record.stats.report(&log, time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
	want := report("1970-01-01 00:00:00",
		"snowflake-ips ??=1,US=1",
		"snowflake-ips-standalone 2",
		"snowflake-ips-total 2",
		"snowflake-ips-nat-restricted 2",
		"snowflake-ips-nat-unrestricted 1",
		"snowflake-idle-count 8",
		"snowflake-proxy-poll-with-relay-url-count 8",
		"client-denied-count 8",
		"client-restricted-denied-count 8",
		"client-http-count 8",
		"client-http-ips US=8",
	)
	if got := log.String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	_, page := do(t, s.Server, http.MethodGet, "/prometheus", "", nil)
	expectLines(t, page,
		`snowflake_proxy_total{cc="US",nat="unrestricted",type="standalone"} 1`,
		`snowflake_proxy_total{cc="??",nat="restricted",type="standalone"} 1`)
}

func TestStatAddressesAreBounded(t *testing.T) {
	const limit = 10
	s := newStats(limit)
	k := Kind{messages.ProxyBadge, messages.NATUnknown}
	a := netip.MustParseAddr("2001:db8::")
	for range limit + 10 {
		s.proxyAddr(a, k, "DE")
		a = a.Next()
	}
	if n := len(s.c.all); n != limit {
		t.Errorf("%d addresses are kept", n)
	}
	if n := len(s.c.byNAT[k.NAT]); n != limit {
		t.Errorf("%d addresses of that NAT are kept", n)
	}
}

// TestPrometheus: the page has all metrics, rounded up, beside Go's own; the
// caller's registry has them too.
func TestPrometheus(t *testing.T) {
	theirs := prometheus.NewRegistry()
	s := newSite(t, Config{Registerer: theirs}, MemoryOptions{})
	poll := s.poll(pollBody("p", "unrestricted"))
	_, page := do(t, s.Server, http.MethodGet, "/prometheus", "", nil)
	expectLines(t, page, `snowflake_available_proxies{nat="unrestricted",type="standalone"} 1`)
	client := s.background("/client", clientBody("restricted"))
	<-poll
	s.post("/answer", answerBody("p"))
	<-client
	for range 9 {
		s.post("/client", clientBody("unrestricted"))
	}
	s.post("/proxy", `{"Sid":"a","Version":"1.2","Type":"webext"}`)
	resp, page := do(t, s.Server, http.MethodGet, "/prometheus", "", nil)
	if got := resp.Header.Get("Access-Control-Allow-Origin"); got != "" {
		t.Errorf("open to other origins: %s", got)
	}
	lines := []string{
		`snowflake_rounded_proxy_poll_total{nat="unrestricted",status="matched",type="standalone"} 8`,
		`snowflake_rounded_proxy_answer_total{status="success",type="standalone"} 8`,
		`snowflake_rounded_proxy_poll_with_relay_url_extension_total{nat="unrestricted",type="standalone"} 8`,
		`snowflake_rounded_proxy_poll_without_relay_url_extension_total{nat="unknown",type="webext"} 8`,
		`snowflake_rounded_proxy_poll_rejected_relay_url_extension_total{nat="unknown",type="webext"} 8`,
		`snowflake_rounded_client_poll_total{cc="??",nat="restricted",rendezvous_method="http",status="matched"} 8`,
		`snowflake_rounded_client_poll_total{cc="??",nat="unrestricted",rendezvous_method="http",status="denied"} 16`,
	}
	expectLines(t, page, lines...)
	if strings.Contains(page, "snowflake_available_proxies{") {
		t.Error("the proxy still counts as available")
	}
	for _, name := range []string{"go_goroutines", "process_open_fds"} {
		if !strings.Contains(page, "\n"+name+" ") {
			t.Errorf("%s is missing", name)
		}
	}
	families, err := theirs.Gather()
	if err != nil || len(families) != 6 {
		t.Errorf("the caller's registry has %d metrics, %v", len(families), err)
	}
	if _, err := New(Config{Registerer: theirs}); err == nil {
		t.Error("a registry took the metrics twice")
	}
}

func expectLines(t *testing.T, page string, lines ...string) {
	t.Helper()
	for _, l := range lines {
		if !strings.Contains("\n"+page, "\n"+l+"\n") {
			t.Errorf("missing: %s", l)
		}
	}
}

// failing is a log that cannot be written.
type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("disk full") }

// TestMetricsLogFails: the broker goes on, and tries again the next day.
func TestMetricsLogFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := New(Config{MetricsLog: failing{}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 72*time.Hour)
		defer cancel()
		if err := b.Run(ctx); err != nil {
			t.Error(err)
		}
		if ctx.Err() == nil {
			t.Error("Run returned early")
		}
	})
}
