// Package browser tests with real browsers what unordered data channels rest on: that a volunteer in a web page, written in
// plain JavaScript (testdata/volunteer.js), hands on each message whole and alone, and that a session runs over it; and that
// our DTLS (common/dtls13) talks to theirs. Chromium and Firefox run headless, with nothing but loopback to talk to.
package browser
