package webext

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"flurry/test/browsers"
)

// webextDir is the source of what is tested, seen from here.
const webextDir = "../../webext"

// leastNode is the oldest Node that runs what webext/package.json names.
const leastNode = 20

// builds makes both builds: test, for loopback, and release.
var builds = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(runDir(), "webext")
	for kind, args := range map[string][]string{"test": {"--test"}, "release": nil} {
		cmd := exec.Command("node", append([]string{"build.mjs", "--outdir", filepath.Join(dir, kind)}, args...)...)
		cmd.Dir = webextDir
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("build the extension: %w\n%s", err, out)
		}
	}
	return dir, nil
})

// built builds the extension and the badge, once: folders test and release, with a folder for each target. Without node, or what
// make webext installs for it, the test is skipped, or fails in CI.
func built(t testing.TB) string {
	t.Helper()
	major := 0
	if out, err := exec.Command("node", "--version").Output(); err == nil {
		fmt.Sscanf(string(out), "v%d.", &major) //nolint:errcheck // What it does not understand is too old.
	}
	if major < leastNode {
		browsers.Missing(t, fmt.Sprintf("no Node %d or later here", leastNode))
	}
	if _, err := os.Stat(filepath.Join(webextDir, "node_modules")); errors.Is(err, os.ErrNotExist) {
		browsers.Missing(t, "what webext/package.json names is not here; make webext installs it")
	}
	dir, err := builds()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
