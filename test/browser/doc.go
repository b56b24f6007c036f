// Package browser tests with real browsers what unordered data channels rest on: that a volunteer in a web page, written in
// plain JavaScript (testdata/volunteer.js), hands on each message whole and alone, and that a session runs over it. Chromium
// and Firefox run headless, and talk to nobody but this machine.
package browser
