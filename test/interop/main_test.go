package interop

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"flurry/test/stage"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if err := os.RemoveAll(binDir()); err != nil && code == 0 {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		os.Exit(code)
	}))
}

// binDir is where the programs of this run are.
func binDir() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("flurry-interop-%d", os.Getpid()))
}

// build builds our programs, once.
var build = sync.OnceValues(func() (stage.Programs, error) {
	if err := os.MkdirAll(binDir(), 0o755); err != nil {
		return stage.Programs{}, err
	}
	return stage.Build(context.Background(), binDir())
})

// programs returns our programs.
func programs(t *testing.T) stage.Programs {
	t.Helper()
	p, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// need returns the path of another project's program. Without it the test is skipped, or fails in CI.
func need(t *testing.T, name, debianPackage string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, dir := range []string{"/usr/sbin", "/sbin"} { // Not in the PATH of everybody.
		if path := filepath.Join(dir, name); exec.Command("test", "-x", path).Run() == nil {
			return path
		}
	}
	missing(t, fmt.Sprintf("no %s here; it is in the Debian package %s", name, debianPackage))
	return ""
}

func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// newStage starts a stage that ends, cleanly or not at all, with the test.
func newStage(t *testing.T, o stage.Options) *stage.Stage {
	t.Helper()
	var told strings.Builder
	o.Log = &told
	s, err := stage.New(t.Context(), o)
	if err != nil {
		t.Fatalf("%v\n%s", err, told.String())
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(told.String())
			for _, p := range s.Proxies() {
				t.Log(p.Tail(20))
			}
			for _, p := range []*stage.Process{s.Client().Process, s.Server(), s.Broker()} {
				t.Log(p.Tail(20))
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
