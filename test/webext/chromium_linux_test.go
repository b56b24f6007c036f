package webext

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"flurry/test/browsers"
)

// chromium drives by the Chrome DevTools Protocol. It does not attach to the extension's worker, which an attached debugger
// would keep alive.
type chromium struct {
	*remote
	extension string // its origin, with a slash at the end
}

// chromiumCommand has it drivable, with an extension unless that is "". Its calls use loopback, which may be all there is, and
// names under test are this machine.
func chromiumCommand(program, profile, extension string, more []string) []string {
	argv := slices.Concat([]string{program}, browsers.ChromiumFlags(profile), []string{"--allow-loopback-in-peer-connection",
		"--remote-debugging-port=0", "--host-resolver-rules=MAP *.test 127.0.0.1"})
	if extension != "" {
		argv = append(argv, "--disable-extensions-except="+extension, "--load-extension="+extension)
	}
	return append(append(argv, more...), "about:blank")
}

// startChromium connects to a browser that is starting.
func startChromium(ctx context.Context, profile, extension string) (driver, error) {
	var address string
	err := until(ctx, func() (bool, string) {
		b, err := os.ReadFile(filepath.Join(profile, "DevToolsActivePort"))
		port, path, whole := strings.Cut(string(b), "\n")
		address = "ws://127.0.0.1:" + port + strings.TrimSpace(path)
		return err == nil && whole && strings.HasPrefix(path, "/"), "the browser tells no port for its driver"
	})
	if err != nil {
		return nil, err
	}
	id := ""
	if extension != "" {
		if id, err = extensionID(extension); err != nil {
			return nil, err
		}
	}
	r, err := dialRemote(ctx, address)
	if err != nil {
		return nil, err
	}
	c := &chromium{r, "chrome-extension://" + id + "/"}
	if extension == "" {
		return c, nil
	}
	// It cannot be shown before it is loaded.
	err = until(ctx, func() (bool, string) {
		worker, err := c.worker(ctx)
		return worker != "", fmt.Sprintf("the extension does not begin: %v", err)
	})
	if err != nil {
		r.close()
		return nil, err
	}
	return c, nil
}

// worker is the extension's worker that runs now, "" if there is none.
func (c *chromium) worker(ctx context.Context) (string, error) {
	all, err := c.targets(ctx)
	for _, t := range all {
		if t.Type == "service_worker" && strings.HasPrefix(t.URL, c.extension) {
			return t.TargetID, err
		}
	}
	return "", err
}

// extensionID is the id of an extension that is loaded from a folder: half of the SHA-256 of its key, or of the folder's path if
// its manifest has no key, in hexadecimal digits written as a to p.
func extensionID(dir string) (string, error) {
	var manifest struct{ Key []byte }
	b, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err == nil {
		err = json.Unmarshal(b, &manifest)
	}
	if len(manifest.Key) == 0 {
		manifest.Key = []byte(dir)
	}
	sum := sha256.Sum256(manifest.Key)
	return strings.Map(func(r rune) rune {
		if r >= 'a' {
			return r + 10
		}
		return r - '0' + 'a'
	}, hex.EncodeToString(sum[:16])), err
}

func (c *chromium) quit(ctx context.Context) error {
	return c.call(ctx, "", "Browser.close", struct{}{}, nil)
}

func (c *chromium) popup(ctx context.Context) (tab, error) {
	return c.open(ctx, c.extension+"popup.html")
}

func (c *chromium) open(ctx context.Context, url string) (tab, error) {
	var made struct{ TargetID string }
	if err := c.call(ctx, "", "Target.createTarget", map[string]any{"url": url}, &made); err != nil {
		return nil, err
	}
	page, err := c.attach(ctx, made.TargetID)
	if err != nil {
		return nil, err
	}
	return page, until(ctx, func() (bool, string) {
		var at struct{ URL, State string }
		err := evalInto(ctx, page, `{ URL: location.href, State: document.readyState }`, &at)
		return err == nil && at.URL == url && at.State == "complete", fmt.Sprintf("%s is not open, but %+v: %v", url, at, err)
	})
}

func (c *chromium) attach(ctx context.Context, target string) (tab, error) {
	var attached struct{ SessionID string }
	params := map[string]any{"targetId": target, "flatten": true}
	if err := c.call(ctx, "", "Target.attachToTarget", params, &attached); err != nil {
		return nil, err
	}
	return &chromiumTab{c, target, attached.SessionID}, nil
}

// A target is something that can be attached to.
type target struct{ TargetID, Type, URL string }

func (c *chromium) targets(ctx context.Context) ([]target, error) {
	var all struct{ TargetInfos []target }
	err := c.call(ctx, "", "Target.getTargets", struct{}{}, &all)
	return all.TargetInfos, err
}

// stopWorker has the extension's worker stopped, as the browser does when it thinks that it has nothing to do, and returns when it
// has.
func (c *chromium) stopWorker(ctx context.Context) error {
	id, err := c.worker(ctx)
	if err != nil || id == "" {
		return fmt.Errorf("no worker: %w", err)
	}
	if err := c.call(ctx, "", "Target.closeTarget", map[string]any{"targetId": id}, nil); err != nil {
		return err
	}
	return until(ctx, func() (bool, string) {
		now, err := c.worker(ctx)
		return err == nil && now != id, fmt.Sprintf("the worker is not stopped: %v", err)
	})
}

// frame finds the frame of a page whose address begins so. It must be in a process of its own, as a page's from elsewhere is.
// What is clicked there is clicked on the page, at the same place: the frame must fill it.
func (c *chromium) frame(ctx context.Context, page tab, url string) (tab, error) {
	var found string
	err := until(ctx, func() (bool, string) {
		all, err := c.targets(ctx)
		for _, t := range all {
			if t.Type == "iframe" && strings.HasPrefix(t.URL, url) {
				found = t.TargetID
			}
		}
		return found != "", fmt.Sprintf("no frame: %v", err)
	})
	if err != nil {
		return nil, err
	}
	inner, err := c.attach(ctx, found)
	if err != nil {
		return nil, err
	}
	return &chromiumFrame{inner, page}, nil
}

// A chromiumFrame is evaluated in itself, and seen and clicked on its page.
type chromiumFrame struct {
	tab
	page tab
}

func (f *chromiumFrame) press(ctx context.Context, x, y float64) error {
	return f.page.press(ctx, x, y)
}
func (f *chromiumFrame) screenshot(ctx context.Context) ([]byte, error) {
	return f.page.screenshot(ctx)
}

type chromiumTab struct {
	browser         *chromium
	target, session string
}

func (t *chromiumTab) call(ctx context.Context, method string, params, result any) error {
	return t.browser.call(ctx, t.session, method, params, result)
}

func (t *chromiumTab) eval(ctx context.Context, expression string) (json.RawMessage, error) {
	var said struct {
		Result           struct{ Value *string }
		ExceptionDetails *struct {
			Text      string
			Exception struct{ Description string }
		}
	}
	params := map[string]any{"expression": inJSON(expression), "awaitPromise": true, "returnByValue": true}
	if err := t.call(ctx, "Runtime.evaluate", params, &said); err != nil {
		return nil, err
	}
	if e := said.ExceptionDetails; e != nil {
		return nil, fmt.Errorf("%.200s: %s %s", expression, e.Text, e.Exception.Description)
	}
	return jsonOf(said.Result.Value), nil
}

func (t *chromiumTab) press(ctx context.Context, x, y float64) error {
	for _, what := range []string{"mousePressed", "mouseReleased"} {
		params := map[string]any{"type": what, "x": x, "y": y, "button": "left", "clickCount": 1}
		if err := t.call(ctx, "Input.dispatchMouseEvent", params, nil); err != nil {
			return err
		}
	}
	return nil
}

func (t *chromiumTab) resize(ctx context.Context, width, height int) error {
	params := map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false}
	return t.call(ctx, "Emulation.setDeviceMetricsOverride", params, nil)
}

func (t *chromiumTab) screenshot(ctx context.Context) ([]byte, error) {
	var shot struct{ Data []byte }
	err := t.call(ctx, "Page.captureScreenshot", struct{}{}, &shot)
	return shot.Data, err
}

func (t *chromiumTab) close(ctx context.Context) error {
	return t.browser.call(ctx, "", "Target.closeTarget", map[string]any{"targetId": t.target}, nil)
}
