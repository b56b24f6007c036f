package webext

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"flurry/test/browsers"
)

// Size of a popup, in CSS pixels: of usual width, long enough for all of it.
const (
	popupWidth  = 360
	popupHeight = 640
)

// checkLooks has axe-core look at the popup, and takes a picture of it.
func (v *volunteer) checkLooks(state string) {
	v.t.Helper()
	if err := v.page.resize(v.ctx, popupWidth, popupHeight); err != nil {
		v.t.Error(err)
	}
	checkLooks(v.ctx, v.t, v.page, fmt.Sprintf("%s-%s", strings.ToLower(v.kind.Name), state))
}

func checkLooks(ctx context.Context, t testing.TB, p tab, name string) {
	t.Helper()
	for _, f := range findings(ctx, t, p) {
		t.Errorf("%s: %s", name, f)
	}
	dir := pictures()
	picture, err := p.screenshot(ctx)
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o600)
	}
	if err != nil {
		t.Errorf("picture %s: %v", name, err)
	}
}

// pictures is the folder for pictures.
func pictures() string {
	if dir := os.Getenv("FLURRY_SCREENSHOTS"); dir != "" {
		return dir
	}
	return "out"
}

// TestGallery has pictures made of the popup and the badge in all states, light and dark, narrow and wide, from left to right and
// from right to left. axe-core finds nothing in any of them, nothing is wider than its window, and the policy of a release suffices.
func TestGallery(t *testing.T) {
	t.Parallel()
	built(t) // or a reason why not
	chromium, err := browsers.Chromium().Find()
	if err != nil {
		browsers.Missing(t, err.Error())
	}
	dir, err := filepath.Abs(filepath.Join(pictures(), "gallery"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", "screenshots.mjs", dir)
	cmd.Dir = webextDir
	cmd.Env = append(os.Environ(), "CHROMIUM="+chromium)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// findings are what axe-core objects to in a page.
func findings(ctx context.Context, t testing.TB, p tab) []string {
	t.Helper()
	axe, err := os.ReadFile(filepath.Join(webextDir, "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	var found []struct {
		ID, Help string
		Nodes    []struct {
			HTML           string
			FailureSummary string
		}
	}
	// Evaluated, and not loaded by an element, which the page's policy refuses.
	script := "(async () => {" + string(axe) + ";return (await axe.run()).violations})()"
	if err := evalInto(ctx, p, script, &found); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, f := range found {
		for _, n := range f.Nodes {
			all = append(all, fmt.Sprintf("%s: %s: %s: %s", f.ID, f.Help, n.HTML, n.FailureSummary))
		}
	}
	return all
}
