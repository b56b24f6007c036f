package webext

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"flurry/test/browsers"
)

// TestBadge embeds the badge in a page of another site, as it is and in a sandbox, and has it help a client.
func TestBadge(t *testing.T) {
	forEach(t, func(ctx context.Context, t *testing.T, kind browsers.Kind) {
		w := newWorld(ctx, t)
		badge := serveBadge(t, w.config())
		v := newVolunteerWith(ctx, t, kind, "")
		for _, sandbox := range []string{"", `sandbox="allow-scripts"`} {
			page, err := v.driver.open(ctx, embed(t, fmt.Sprintf(`<iframe src=%q %s></iframe>`, badge, sandbox)))
			if err != nil {
				t.Fatal(err)
			}
			frame, err := v.driver.frame(ctx, page, badge)
			if err != nil {
				t.Fatal(err)
			}
			before := w.broker.polls.Load()
			awaitView(ctx, t, frame, "off", func(s shown) bool { return s.Phase == "off" && s.On == "false" })
			if n := w.broker.polls.Load() - before; n != 0 {
				t.Errorf("%d polls before anybody switched it on", n)
			}
			if err := click(ctx, frame, "#toggle"); err != nil {
				t.Fatal(err)
			}
			awaitView(ctx, t, frame, "on", func(s shown) bool { return s.Phase == "polling" && s.On == "true" })
			c := w.startClient(ctx, t)
			carry(ctx, t, c, 5_000_000)
			awaitView(ctx, t, frame, "of one person", func(s shown) bool { return s.Now == 1 })
			checkLooks(ctx, t, frame, "badge-"+strings.ToLower(kind.Name)+map[bool]string{true: "-sandbox"}[sandbox != ""])
			stopClient(t, c)
			awaitView(ctx, t, frame, "of nobody now", func(s shown) bool { return s.Now == 0 })
			if err := page.close(ctx); err != nil {
				t.Error(err)
			}
		}
	})
}

// serveBadge serves the badge's test build.
func serveBadge(t testing.TB, c config) (url string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "badge")
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(built(t), "test", "badge"))); err != nil {
		t.Fatal(err)
	}
	c.Type = "badge"
	writeConfig(t, dir, c)
	ln := listen(t)
	files := http.FileServer(http.Dir(dir))
	serve(t, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*") // A sandboxed frame has no origin, and reads its test.json from another.
		files.ServeHTTP(w, r)
	})}, ln)
	return "http://" + ln.Addr().String() + "/"
}

// embed serves a page of another site with that in it, which fills it.
func embed(t testing.TB, what string) (url string) {
	t.Helper()
	ln := listen(t)
	page := `<!doctype html><html lang=en><title>A page</title>
<style>iframe { position: fixed; inset: 0; width: 100%; height: 100%; border: 0 }</style>` + what
	serve(t, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		text(page)(w)
	})}, ln)
	return fmt.Sprintf("http://localhost:%d/", ln.Addr().(*net.TCPAddr).Port)
}
