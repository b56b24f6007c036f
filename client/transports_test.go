package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"flurry/common/safelog"
)

// A stubTransport only notes that it was closed.
type stubTransport struct{ closed bool }

func (s *stubTransport) DialContext(context.Context) (net.Conn, error) {
	return nil, errors.New("no bridge in this test")
}

func (s *stubTransport) Close() error { s.closed = true; return nil }

// newStubTransports returns transports that start stubs, and its clock.
func newStubTransports() (ts *transports, now *time.Time) {
	now = new(time.Time)
	ts = newTransports(nil, safelog.Discard())
	ts.start = func(settings) (transport, error) { return new(stubTransport), nil }
	ts.now = func() time.Time { return *now }
	return ts, now
}

func bridgeLine(n int) settings { return settings{url: fmt.Sprintf("https://broker.example/%d/", n)} }

func acquire(t *testing.T, ts *transports, s settings) (*stubTransport, func()) {
	t.Helper()
	got, release, err := ts.acquire(s)
	if err != nil {
		t.Fatal(err)
	}
	return got.(*stubTransport), release
}

func TestTransportsAreSharedByEqualSettings(t *testing.T) {
	ts, _ := newStubTransports()
	a, releaseA := acquire(t, ts, bridgeLine(1))
	b, releaseB := acquire(t, ts, bridgeLine(1))
	c, releaseC := acquire(t, ts, bridgeLine(2))
	if a != b || a == c {
		t.Errorf("got %p, %p and %p", a, b, c)
	}
	releaseA()
	releaseB()
	releaseC()
	if d, _ := acquire(t, ts, bridgeLine(1)); d != a {
		t.Error("a released transport was forgotten at once")
	}
	ts.close()
	if !a.closed || !c.closed {
		t.Error("open after close")
	}
	if _, _, err := ts.acquire(bridgeLine(1)); !errors.Is(err, errStopping) {
		t.Errorf("got %v, want %v", err, errStopping)
	}
}

func TestIdleTransportsAreForgotten(t *testing.T) {
	ts, now := newStubTransports()
	idle, release := acquire(t, ts, bridgeLine(1))
	used, _ := acquire(t, ts, bridgeLine(2))
	release()
	*now = now.Add(keepIdle)
	acquire(t, ts, bridgeLine(3))
	if !idle.closed || used.closed {
		t.Errorf("idle closed: %v, used closed: %v", idle.closed, used.closed)
	}
}

func TestTransportsAreBounded(t *testing.T) {
	ts, now := newStubTransports()
	var releases []func()
	var stubs []*stubTransport
	for n := range maxTransports {
		s, release := acquire(t, ts, bridgeLine(n))
		stubs, releases = append(stubs, s), append(releases, release)
	}
	if _, _, err := ts.acquire(bridgeLine(-1)); !errors.Is(err, errTooManyTransports) {
		t.Fatalf("got %v, want %v", err, errTooManyTransports)
	}
	releases[5]()
	*now = now.Add(time.Second)
	releases[3]()
	acquire(t, ts, bridgeLine(-1))
	if !stubs[5].closed || stubs[3].closed {
		t.Error("want the one idle longest to make room")
	}
}

func TestBadSettingsStartNothing(t *testing.T) {
	ts := newTransports(nil, safelog.Discard())
	s := full
	s.fronts = "not a host"
	if _, _, err := ts.acquire(s); err == nil {
		t.Error("a malformed front was accepted")
	}
	if len(ts.all) != 0 {
		t.Error("something is left of it")
	}
}
