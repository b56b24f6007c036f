package main

import (
	"testing"

	"flurry/common/carrier/rtc"
	"flurry/common/covert"
	"flurry/common/safelog"
)

// Requests to the broker and calls look like one browser, and like that which
// was asked for.
func TestOneBrowserForBoth(t *testing.T) {
	for _, c := range []struct {
		hello   string
		profile rtc.Profile
		browser rtc.Profile // the program's choice

		wantHello   string
		wantProfile rtc.Profile
	}{
		{"", "", rtc.Chromium, covert.Chromium, rtc.Chromium},
		{"", "", rtc.Firefox, covert.Firefox, rtc.Firefox},
		{"hellofirefox_auto", "", rtc.Chromium, "hellofirefox_auto", rtc.Firefox},
		{"hellochrome_72", "", rtc.Firefox, "hellochrome_72", rtc.Chromium},
		{"hellorandomizedalpn", "", rtc.Firefox, "hellorandomizedalpn", rtc.Firefox},
		{"none", "", rtc.Firefox, "none", rtc.Firefox},
		{"", rtc.Chromium, rtc.Firefox, covert.Chromium, rtc.Chromium},
		{"", rtc.Pion, rtc.Firefox, covert.Firefox, rtc.Pion},
		{"hellofirefox_63", rtc.Chromium, rtc.Chromium, "hellofirefox_63", rtc.Chromium},
	} {
		got := settings{hello: c.hello, profile: c.profile}.as(c.browser)
		if got.hello != c.wantHello || got.profile != c.wantProfile {
			t.Errorf("%q and %q of a %s: %q and %q, want %q and %q", c.hello, c.profile, c.browser, got.hello, got.profile, c.wantHello, c.wantProfile)
		}
		if !covert.ValidHello(got.hello) {
			t.Errorf("%q is no hello", got.hello)
		}
	}
}

// All bridge lines of a program are one browser with one set of connections.
func TestBridgeLinesShareConnections(t *testing.T) {
	ts := newTransports(nil, safelog.Discard())
	defer ts.close()
	if ts.browser != rtc.Chromium && ts.browser != rtc.Firefox {
		t.Fatalf("the program looks like %q", ts.browser)
	}
	of := func(s settings) *covert.Transport {
		s = s.as(ts.browser)
		ts.mu.Lock()
		defer ts.mu.Unlock()
		c, err := ts.connectionsLocked(greeting{s.hello, s.noSNI})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	first := of(bridgeLine(1))
	if of(bridgeLine(2)) != first {
		t.Error("two bridge lines do not share")
	}
	other := bridgeLine(2)
	other.noSNI = true
	if of(other) == first {
		t.Error("connections with and without the server's name are shared")
	}
}
