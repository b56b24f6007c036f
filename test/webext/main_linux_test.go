package webext

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"flurry/test/browsers"
	"flurry/test/stage"
)

const (
	// testLimit bounds each test. It is far more than any needs on a slow machine; what hangs, hangs for ever.
	testLimit = 4 * time.Minute
	// startLimit bounds how long a browser may take to start on a busy machine.
	startLimit = time.Minute
	// viewLimit bounds how long a view may take to show what it is to show.
	viewLimit = time.Minute
	// tellLimit bounds what is asked of a browser when a test has failed.
	tellLimit = 5 * time.Second
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if err := os.RemoveAll(runDir()); err != nil && code == 0 {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		os.Exit(code)
	}))
}

// runDir is where what this run builds is.
func runDir() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("flurry-webext-%d", os.Getpid()))
}

// programs builds our programs, once.
var programs = sync.OnceValues(func() (stage.Programs, error) {
	dir := filepath.Join(runDir(), "bin")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return stage.Programs{}, err
	}
	if out, err := exec.Command("go", "build", "-o", probeProgram(), "flurry/broker/probetest").CombinedOutput(); err != nil {
		return stage.Programs{}, fmt.Errorf("build the probe service: %w\n%s", err, out)
	}
	return stage.Build(context.Background(), dir)
})

// probeProgram is the probe service's program file.
func probeProgram() string { return filepath.Join(runDir(), "probetest") }

// find returns the path of the browser's program. Without it, or what it needs, the test is skipped, or fails in CI.
func find(t testing.TB, kind browsers.Kind) string {
	t.Helper()
	path, err := kind.Find()
	if err != nil {
		browsers.Missing(t, err.Error())
	}
	return path
}

// forEach runs a test with each kind of browser.
func forEach(t *testing.T, test func(ctx context.Context, t *testing.T, kind browsers.Kind)) {
	t.Parallel()
	for _, kind := range []browsers.Kind{browsers.Chromium(), browsers.Firefox()} {
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel() // It often waits.
			find(t, kind)
			ctx, cancel := context.WithTimeout(t.Context(), testLimit)
			defer cancel()
			test(ctx, t, kind)
		})
	}
}
