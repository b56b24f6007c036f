package main

import (
	"strings"

	"flurry/common/carrier/rtc"
	"flurry/common/covert"
)

// hellosOf has the hello that goes with a browser's WebRTC: the same browser in
// the same version.
var hellosOf = map[rtc.Profile]string{rtc.Chromium: covert.Chromium, rtc.Firefox: covert.Firefox}

// as returns s with everything that shows a browser filled in, so that requests
// to the broker and calls with volunteers show one and the same. What the user
// asked for stays; where he named only one of the two, the other follows it, and
// where neither, both are those of browser, the program's own choice. It is
// called once for a Transport, which keeps the answer for its life.
func (s settings) as(browser rtc.Profile) settings {
	if s.profile == rtc.AnyBrowser {
		s.profile = browser
		switch {
		case strings.HasPrefix(s.hello, "hellofirefox"):
			s.profile = rtc.Firefox
		case strings.HasPrefix(s.hello, "hellochrome"):
			s.profile = rtc.Chromium
		}
	}
	if s.hello == "" {
		s.hello = hellosOf[s.profile]
	}
	if s.hello == "" {
		s.hello = hellosOf[browser] // beside a WebRTC that is no browser's
	}
	return s
}
