package main

import (
	"io"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"flurry/common/carrier/rtc"
	"flurry/proxy/snowproxy"
)

func TestDefaults(t *testing.T) {
	o, err := parseFlags(nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	c := o.proxy
	if c.HTTPProxy == nil {
		t.Error("the environment's HTTP proxy is not used")
	}
	c.HTTPProxy = nil
	want := snowproxy.Config{
		BrokerURL:         "https://snowflake-broker.torproject.net/",
		RelayURL:          "wss://snowflake.torproject.net/",
		NATProbeURL:       "https://snowflake-broker.torproject.net:8443/probe",
		NATRetestInterval: 24 * time.Hour,
		STUNServers:       []string{"stun:stun.l.google.com:19302", "stun:stun.voip.blackberry.com:3478"},
		PollInterval:      5 * time.Second,
		RelayPattern:      "snowflake.torproject.net$",
		SummaryInterval:   time.Hour,
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
	if o.metrics || o.metricsAddress != "localhost" || o.metricsPort != 9999 || o.logFile != "" || o.verbose || o.unsafeLogging || o.logLocalTime {
		t.Errorf("program's options: %+v", o)
	}
}

func TestEveryFlagHasItsEffect(t *testing.T) {
	for args, effect := range map[string]func(options) bool{
		"-broker https://b.example/":                 func(o options) bool { return o.proxy.BrokerURL == "https://b.example/" },
		"-relay ws://r.example:1/":                   func(o options) bool { return o.proxy.RelayURL == "ws://r.example:1/" },
		"-nat-probe-server http://p.example:1/":      func(o options) bool { return o.proxy.NATProbeURL == "http://p.example:1/" },
		"-nat-retest-interval 0":                     func(o options) bool { return o.proxy.NATRetestInterval == 0 },
		"-nat-type-force-unrestricted":               func(o options) bool { return o.proxy.ForceUnrestricted },
		"-stun stun:a:1,stun:b":                      func(o options) bool { return slices.Equal(o.proxy.STUNServers, []string{"stun:a:1", "stun:b"}) },
		"-stun=":                                     func(o options) bool { return o.proxy.STUNServers != nil && len(o.proxy.STUNServers) == 0 },
		"-capacity 7":                                func(o options) bool { return o.proxy.Capacity == 7 },
		"--poll-interval 2s":                         func(o options) bool { return o.proxy.PollInterval == 2*time.Second },
		"-allowed-relay-hostname-pattern ^a.b$":      func(o options) bool { return o.proxy.RelayPattern == "^a.b$" },
		"-allow-non-tls-relay":                       func(o options) bool { return o.proxy.AllowNonTLSRelay },
		"-allow-proxying-to-private-addresses":       func(o options) bool { return o.proxy.AllowPrivateRelays },
		"-keep-local-addresses":                      func(o options) bool { return o.proxy.KeepLocalAddresses },
		"-outbound-address 192.0.2.1":                func(o options) bool { return o.proxy.OutboundAddress == netip.MustParseAddr("192.0.2.1") },
		"-ephemeral-ports-range 1000:2000":           func(o options) bool { return o.proxy.PortMin == 1000 && o.proxy.PortMax == 2000 },
		"-summary-interval 0":                        func(o options) bool { return o.proxy.SummaryInterval == 0 },
		"-disable-stats-logger":                      func(o options) bool { return o.proxy.NoSummaryLog },
		"-metrics -metrics-address ::1":              func(o options) bool { return o.metrics && o.metricsAddress == "::1" },
		"-covertdtls-config mimic":                   func(o options) bool { return o.proxy.Profile == rtc.Chromium },
		"-covertdtls-config randomize":               func(o options) bool { return o.proxy.Profile == rtc.AnyBrowser },
		"-covertdtls-config disable":                 func(o options) bool { return o.proxy.Profile == rtc.Pion },
		"-metrics-port 1":                            func(o options) bool { return o.metricsPort == 1 },
		"-log x -log-local-time -verbose":            func(o options) bool { return o.logFile == "x" && o.logLocalTime && o.verbose },
		"-unsafe-logging -version":                   func(o options) bool { return o.unsafeLogging && o.version },
		"-nat-type-force-unrestricted=false -stun=,": func(o options) bool { return !o.proxy.ForceUnrestricted && len(o.proxy.STUNServers) == 0 },
	} {
		o, err := parseFlags(strings.Fields(args), io.Discard)
		if err != nil || !effect(o) {
			t.Errorf("%s: %v, %+v", args, err, o)
		}
	}
}

// badFlags must each be refused with one line.
func badFlags() []string {
	return []string{
		"-no-such-flag",
		"-capacity many",
		"-capacity -1",
		"-poll-interval 1s",
		"-poll-interval 0",
		"-poll-interval 5",
		"-broker=",
		"-broker ftp://h/",
		"-relay http://h/",
		"-relay=",
		"-nat-probe-server nowhere",
		"-nat-retest-interval -1s",
		"-allowed-relay-hostname-pattern example.com",
		"-allowed-relay-hostname-pattern=",
		"-stun turn:h:1",
		"-stun stun.example:3478",
		"-outbound-address example.com",
		"-outbound-address 192.0.2.1 -keep-local-addresses",
		"-ephemeral-ports-range 0:0",
		"-ephemeral-ports-range 2000:1000",
		"-ephemeral-ports-range 1000",
		"-ephemeral-ports-range 1:70000",
		"-summary-interval -1s",
		"-metrics-port 65536",
		"-geoipdb x",
		"-geoip6db x",
		"-covertdtls-config none",
		"-covertdtls-fingerprint fefd",
		"stray",
		"-capacity -1 -poll-interval 1s -relay http://h/", // three faults, one line
	}
}

func TestBadFlags(t *testing.T) {
	for _, args := range badFlags() {
		_, err := parseFlags(strings.Fields(args), io.Discard)
		if err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want one line", args, err)
		}
	}
}

func TestFewPortsWarning(t *testing.T) {
	for _, c := range []struct {
		from, to uint16
		capacity int
		want     bool
	}{
		{0, 0, 0, false},
		{1000, 1018, 0, true},
		{1000, 1019, 0, false},
		{1000, 1003, 2, false},
		{1000, 1002, 2, true},
		{1, 65535, 1 << 62, true},
	} {
		warning, few := fewPorts(snowproxy.Config{PortMin: c.from, PortMax: c.to, Capacity: c.capacity})
		if few != c.want || few != (warning != "") {
			t.Errorf("%d:%d for %d: %q", c.from, c.to, c.capacity, warning)
		}
	}
}
