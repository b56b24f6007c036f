// Package browser tests with real browsers what unordered data channels rest on: that a volunteer in a web page, written in
// plain JavaScript (testdata/volunteer.js), hands on each message whole and alone, and that a session runs over it; and that
// our DTLS (common/dtls13) talks to theirs, with keys that open their audio and video. TestSameness compares what shows of
// calls, theirs and ours, on the line of whoever offers: same_linux_test.go makes them, between hosts of test/netlab,
// points_linux_test.go lists what is compared, wire_linux_test.go reads packets. TestFrontLooks does the same with requests to
// a front, and TestWebTransport has their WebTransport meet ours. Chromium and Firefox run headless, with nothing but loopback
// and these hosts to talk to.
package browser
