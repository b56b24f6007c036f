package webext

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"flurry/test/browsers"
)

// TestReleasePolicy shows that pages of a release can connect to nobody in plain text, whatever a broker could talk them into.
func TestReleasePolicy(t *testing.T) {
	forEach(t, func(ctx context.Context, t *testing.T, kind browsers.Kind) {
		v := newVolunteerWith(ctx, t, kind, writeRelease(t, kind))
		ln := listen(t)
		accepted := countConnections(t, ln)
		for _, scheme := range []string{"ws", "http"} {
			var broken string
			v.eval(fmt.Sprintf(tryScript, scheme+"://"+ln.Addr().String()+"/"), &broken)
			if !strings.HasPrefix(broken, "connect-src "+scheme) {
				t.Errorf("%s: %q, want what is broken of the policy", scheme, broken)
			}
		}
		if n := accepted.Load(); n != 0 {
			t.Errorf("%d connections in plain text", n)
		}
		// With TLS it may.
		var broken string
		v.eval(fmt.Sprintf(tryScript, "wss://"+ln.Addr().String()+"/"), &broken)
		if broken != "failed" || accepted.Load() == 0 {
			t.Errorf("wss: %q, %d connections, want one that fails for its own reasons", broken, accepted.Load())
		}
	})
}

// tryScript connects to an address, and tells what part of the policy that breaks, or what becomes of it.
const tryScript = `new Promise((done) => {
	const to = %q;
	document.addEventListener("securitypolicyviolation", (e) => done(e.effectiveDirective + " " + e.blockedURI), { once: true });
	// The event of a violation may come after the failure.
	const failed = () => setTimeout(() => done("failed"), 1000);
	try {
		if (to.startsWith("http")) fetch(to).then(() => done("connected"), failed);
		else {
			const socket = new WebSocket(to);
			socket.onopen = () => done("connected");
			socket.onerror = failed;
		}
	} catch {
		failed();
	}
})`

// writeRelease copies the release. For Firefox, where no driver may go to the popup, it is told to open that.
func writeRelease(t testing.TB, kind browsers.Kind) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "extension")
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(built(t), "release", strings.ToLower(kind.Name)))); err != nil {
		t.Fatal(err)
	}
	if kind != browsers.Firefox() {
		return dir
	}
	path := filepath.Join(dir, "manifest.json")
	var manifest map[string]any
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, &manifest)
	}
	background, ok := manifest["background"].(map[string]any)
	if err != nil || !ok {
		t.Fatalf("the manifest: %v: %s", err, b)
	}
	scripts, _ := background["scripts"].([]any)
	background["scripts"] = append(scripts, "open.js")
	if b, err = json.Marshal(manifest); err == nil {
		err = os.WriteFile(path, b, 0o600)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "open.js"), []byte(`browser.tabs.create({ url: "popup.html" });`), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
