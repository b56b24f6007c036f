package webext

import (
	"archive/zip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"flurry/test/browsers"
)

// firefox drives by WebDriver BiDi.
type firefox struct{ *remote }

// prefs let an unsigned extension in, as releases with extended support may, and calls use loopback, which may be all there is.
// These names are this machine.
const prefs = `user_pref("xpinstall.signatures.required", false);
user_pref("media.peerconnection.ice.loopback", true);
user_pref("network.dns.localDomains", "` + relayName + `,` + otherName + `");
`

func firefoxCommand(program, profile string) ([]string, error) {
	err := browsers.WritePrefs(profile, prefs)
	return slices.Concat([]string{program}, browsers.FirefoxFlags(profile), []string{"-remote-debugging-port=0"}), err
}

// startFirefox connects to a browser that is starting, and installs the extension, if there is one, unless the profile has it.
func startFirefox(ctx context.Context, profile, extension string) (driver, error) {
	var server struct {
		Host string `json:"ws_host"`
		Port int    `json:"ws_port"`
	}
	err := until(ctx, func() (bool, string) {
		b, err := os.ReadFile(filepath.Join(profile, "WebDriverBiDiServer.json"))
		err = errors.Join(err, json.Unmarshal(b, &server))
		return err == nil && server.Port != 0, "the browser tells no port for its driver"
	})
	if err != nil {
		return nil, err
	}
	r, err := dialRemote(ctx, fmt.Sprintf("ws://%s:%d/session", server.Host, server.Port))
	if err != nil {
		return nil, err
	}
	f := &firefox{r}
	if err := f.begin(ctx, profile, extension); err != nil {
		r.close()
		return nil, err
	}
	return f, nil
}

func (f *firefox) begin(ctx context.Context, profile, extension string) error {
	capabilities := map[string]any{"capabilities": map[string]any{}}
	if err := f.call(ctx, "", "session.new", capabilities, nil); err != nil {
		return err
	}
	if extension == "" {
		return nil
	}
	installed, err := filepath.Glob(filepath.Join(profile, "extensions", "*.xpi"))
	if err != nil || len(installed) > 0 {
		return err
	}
	pack := extension + ".xpi"
	if err := writeZip(pack, extension); err != nil {
		return err
	}
	params := map[string]any{"extensionData": map[string]any{"type": "archivePath", "path": pack}, "moz:permanent": true}
	return f.call(ctx, "", "webExtension.install", params, nil)
}

// writeZip packs a folder.
func writeZip(path, dir string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := zip.NewWriter(f)
	return errors.Join(w.AddFS(os.DirFS(dir)), w.Close(), f.Close())
}

func (f *firefox) quit(ctx context.Context) error {
	return f.call(ctx, "", "browser.close", struct{}{}, nil)
}

// A node of the tree of pages and their frames.
type node struct {
	Context, URL string
	Children     []node
}

// find returns the first page or frame that is to be found, after waiting for it.
func (f *firefox) find(ctx context.Context, what string, is func(url string) bool) (tab, error) {
	var found string
	err := until(ctx, func() (bool, string) {
		var tree struct{ Contexts []node }
		if err := f.call(ctx, "", "browsingContext.getTree", struct{}{}, &tree); err != nil {
			return false, err.Error()
		}
		for todo := tree.Contexts; len(todo) > 0; todo = append(todo[1:], todo[0].Children...) {
			if is(todo[0].URL) {
				found = todo[0].Context
				return true, ""
			}
		}
		return false, "no " + what
	})
	if err != nil {
		return nil, err
	}
	return &firefoxTab{f, found}, nil
}

func (f *firefox) frame(ctx context.Context, _ tab, url string) (tab, error) {
	return f.find(ctx, "frame", func(u string) bool { return strings.HasPrefix(u, url) })
}

// popup finds the tab that the extension's test build opens when it starts: no driver may go there.
func (f *firefox) popup(ctx context.Context) (tab, error) {
	return f.find(ctx, "popup", func(url string) bool {
		return strings.HasPrefix(url, "moz-extension://") && strings.HasSuffix(url, "/popup.html")
	})
}

func (f *firefox) open(ctx context.Context, url string) (tab, error) {
	var made struct{ Context string }
	if err := f.call(ctx, "", "browsingContext.create", map[string]any{"type": "tab"}, &made); err != nil {
		return nil, err
	}
	params := map[string]any{"context": made.Context, "url": url, "wait": "complete"}
	return &firefoxTab{f, made.Context}, f.call(ctx, "", "browsingContext.navigate", params, nil)
}

type firefoxTab struct {
	browser *firefox
	context string
}

func (t *firefoxTab) call(ctx context.Context, method string, params map[string]any, result any) error {
	params["context"] = t.context
	return t.browser.call(ctx, "", method, params, result)
}

func (t *firefoxTab) eval(ctx context.Context, expression string) (json.RawMessage, error) {
	var said struct {
		Result           struct{ Value *string }
		ExceptionDetails *struct{ Text string }
	}
	params := map[string]any{"expression": inJSON(expression), "awaitPromise": true, "target": map[string]any{"context": t.context}}
	if err := t.browser.call(ctx, "", "script.evaluate", params, &said); err != nil {
		return nil, err
	}
	if e := said.ExceptionDetails; e != nil {
		return nil, fmt.Errorf("%.200s: %s", expression, e.Text)
	}
	return jsonOf(said.Result.Value), nil
}

func (t *firefoxTab) press(ctx context.Context, x, y float64) error {
	steps := []map[string]any{{"type": "pointerMove", "x": int(x), "y": int(y)},
		{"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}}
	mouse := map[string]any{"type": "pointer", "id": "mouse", "actions": steps}
	return t.call(ctx, "input.performActions", map[string]any{"actions": []any{mouse}}, nil)
}

func (t *firefoxTab) resize(ctx context.Context, width, height int) error {
	size := map[string]any{"width": width, "height": height}
	return t.call(ctx, "browsingContext.setViewport", map[string]any{"viewport": size}, nil)
}

func (t *firefoxTab) screenshot(ctx context.Context) ([]byte, error) {
	var shot struct{ Data []byte }
	err := t.call(ctx, "browsingContext.captureScreenshot", map[string]any{}, &shot)
	return shot.Data, err
}

func (t *firefoxTab) close(ctx context.Context) error {
	return t.call(ctx, "browsingContext.close", map[string]any{}, nil)
}
