// Package system tests the whole: the four real programs on a stage (package test/stage), as their users see them. Each
// test ends with a look for crashed programs, reports of the race detector, unclean ends, and leaks.
package system

import (
	"context"
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"flurry/test/stage"
)

// programs are the files under test. TestMain sets them before the first test, nothing changes them after.
var programs stage.Programs

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "flurry-system-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if programs, err = stage.Build(ctx, dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// testLimit bounds each test. It is far more than any needs on a slow machine; what hangs, hangs for ever.
const testLimit = 4 * time.Minute

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	t.Cleanup(cancel)
	return ctx
}

// newStage starts a stage that is closed, and must close cleanly, at the end of the test. With go test -artifacts its logs
// stay.
func newStage(t *testing.T, o stage.Options) *stage.Stage {
	t.Helper()
	o.Programs = programs
	o.Dir = t.ArtifactDir()
	s, err := stage.New(testContext(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, p := range append([]*stage.Process{s.Client().Process, s.Broker(), s.Server()}, processes(s.Proxies())...) {
				t.Logf("%s\n%s", p.Name(), p.Tail(25))
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func processes(proxies []*stage.Proxy) []*stage.Process {
	var ps []*stage.Process
	for _, p := range proxies {
		ps = append(ps, p.Process)
	}
	return ps
}

// dial opens a connection through c or fails the test.
func dial(t *testing.T, ctx context.Context, c *stage.Client, args stage.Args) net.Conn {
	t.Helper()
	conn, err := c.Dial(ctx, args)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// get fetches a file of size bytes through c and checks it.
func get(t *testing.T, ctx context.Context, c *stage.Client, seed uint64, size int64) {
	t.Helper()
	if err := stage.Get(ctx, dial(t, ctx, c, nil), seed, size, nil); err != nil {
		t.Fatal(err)
	}
}

// eventually waits until f says that what it describes is so.
func eventually(t *testing.T, ctx context.Context, limit time.Duration, f func() (ok bool, state string)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, state := f()
		if ok {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Errorf("after %v: %s", limit, state)
			return
		}
	}
}
