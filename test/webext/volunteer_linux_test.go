package webext

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"flurry/test/browsers"
)

// A config is Config in webext/core/config.ts.
type config struct {
	Version      string   `json:"version"`
	Type         string   `json:"type"`
	BrokerURL    string   `json:"brokerURL"`
	ProbeURL     string   `json:"probeURL"`
	RelayPattern string   `json:"relayPattern"`
	RelayURL     string   `json:"relayURL"`
	STUNServers  []string `json:"stunServers"`
	Local        bool     `json:"local"`
	// In base64, see there.
	CertificateHashes []string `json:"certificateHashes,omitempty"`
}

// A volunteer is a browser with the extension, on a profile of its own. Its methods that take no context are bounded by the
// one that it was made with, and fail the test.
type volunteer struct {
	t    testing.TB
	ctx  context.Context
	kind browsers.Kind

	extension string // the folder with the extension; "": without one
	profile   string
	flags     []string // more than usual, of Chromium

	// of the run now
	group  *browsers.Group
	driver driver
	page   tab // the popup; nil if it is not shown
}

// newVolunteer makes a volunteer with the extension's test build and starts it, until the test ends.
func newVolunteer(ctx context.Context, t testing.TB, kind browsers.Kind, c config) *volunteer {
	t.Helper()
	return newVolunteerWith(ctx, t, kind, writeTestBuild(t, kind, c))
}

// newVolunteerWith is newVolunteer with an extension of the caller's.
func newVolunteerWith(ctx context.Context, t testing.TB, kind browsers.Kind, extension string) *volunteer {
	t.Helper()
	v := prepareVolunteer(ctx, t, kind, extension)
	v.start()
	return v
}

// prepareVolunteer is newVolunteerWith without the start.
func prepareVolunteer(ctx context.Context, t testing.TB, kind browsers.Kind, extension string) *volunteer {
	t.Helper()
	v := &volunteer{t: t, ctx: ctx, kind: kind, extension: extension, profile: t.TempDir()}
	t.Cleanup(v.cleanUp)
	return v
}

// writeTestBuild copies the test build and writes its configuration.
func writeTestBuild(t testing.TB, kind browsers.Kind, c config) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "extension")
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(built(t), "test", strings.ToLower(kind.Name)))); err != nil {
		t.Fatal(err)
	}
	writeConfig(t, dir, c)
	return dir
}

func writeConfig(t testing.TB, dir string, c config) {
	t.Helper()
	if c.STUNServers == nil {
		c.STUNServers = []string{} // Not null.
	}
	b, err := json.Marshal(c)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "test.json"), b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// start starts the browser on its profile and shows the popup.
func (v *volunteer) start() {
	v.t.Helper()
	program := find(v.t, v.kind)
	// The last run's must not be taken for this one's.
	for _, name := range []string{"DevToolsActivePort", "WebDriverBiDiServer.json"} {
		if err := os.Remove(filepath.Join(v.profile, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			v.t.Fatal(err)
		}
	}
	argv, connect := chromiumCommand(program, v.profile, v.extension, v.flags), startChromium
	var err error
	if v.kind == browsers.Firefox() {
		connect = startFirefox
		if argv, err = firefoxCommand(program, v.profile); err != nil {
			v.t.Fatal(err)
		}
	}
	if v.group, err = browsers.Start(v.profile, argv...); err != nil {
		v.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(v.ctx, startLimit)
	defer cancel()
	if v.driver, err = connect(ctx, v.profile, v.extension); err != nil {
		v.t.Fatalf("%s: %v: %s", v.kind.Name, err, v.group.Said())
	}
	if v.extension != "" {
		v.showPopup()
	}
}

func (v *volunteer) showPopup() {
	v.t.Helper()
	var err error
	if v.page, err = v.driver.popup(v.ctx); err != nil {
		v.t.Fatalf("%s: %v", v.kind.Name, err)
	}
}

// quit ends the browser as its user would.
func (v *volunteer) quit() {
	v.t.Helper()
	if err := v.driver.quit(v.ctx); err != nil {
		v.t.Logf("%s: %v", v.kind.Name, err) // Some end faster than they answer.
	}
	if err := v.group.Wait(v.ctx); err != nil {
		v.t.Fatalf("%s: %v", v.kind.Name, err)
	}
	v.driver.close()
	v.group, v.driver, v.page = nil, nil, nil
}

// kill ends the browser as a crash or a power cut would.
func (v *volunteer) kill() {
	v.t.Helper()
	if err := v.group.End(); err != nil {
		v.t.Errorf("%s: %v", v.kind.Name, err)
	}
	if v.driver != nil {
		v.driver.close()
	}
	v.group, v.driver, v.page = nil, nil, nil
}

func (v *volunteer) cleanUp() {
	if v.t.Failed() {
		v.tell()
	}
	if v.group != nil {
		v.kill()
	}
}

// tell logs what is known of the volunteer, for people.
func (v *volunteer) tell() {
	if v.page != nil {
		ctx, cancel := context.WithTimeout(context.Background(), tellLimit)
		defer cancel()
		if s, err := look(ctx, v.page); err == nil {
			v.t.Logf("%s: the popup shows %+v", v.kind.Name, s)
		}
		if b, err := v.page.eval(ctx, "document.body.innerText"); err == nil {
			v.t.Logf("%s: the popup says %.2000s", v.kind.Name, b)
		}
	}
}

// A shown is what a view shows, see doc/webext.md.
type shown struct {
	Phase, Trouble, Pause, NAT string
	On                         string // of the switch: "true", "false"
	Now, Today, Week, Total    int
}

const shownScript = `(() => {
	const b = document.body?.dataset ?? {};
	const n = (of) => Number(document.querySelector("[data-count=" + of + "]")?.dataset.value ?? -1);
	const on = document.querySelector("#toggle")?.getAttribute("aria-checked") ?? "";
	return { Phase: b.phase ?? "?", Trouble: b.trouble ?? "?", Pause: b.pause ?? "?", NAT: b.nat ?? "?", On: on,
		Now: n("now"), Today: n("today"), Week: n("week"), Total: n("total") };
})()`

// look reads a view.
func look(ctx context.Context, p tab) (shown, error) {
	var s shown
	return s, evalInto(ctx, p, shownScript, &s)
}

// await waits until the popup shows what is wanted.
func (v *volunteer) await(what string, is func(shown) bool) shown {
	v.t.Helper()
	return awaitView(v.ctx, v.t, v.page, what, is)
}

// awaitView waits until a view shows what is wanted.
func awaitView(ctx context.Context, t testing.TB, p tab, what string, is func(shown) bool) shown {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, viewLimit)
	defer cancel()
	var s shown
	err := until(ctx, func() (bool, string) {
		var err error
		if s, err = look(ctx, p); err != nil {
			return false, err.Error()
		}
		return is(s), fmt.Sprintf("the view is not %s: %+v", what, s)
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// phase is the condition of being in one of these phases.
func phase(names ...string) func(shown) bool {
	return func(s shown) bool {
		for _, name := range names {
			if s.Phase == name {
				return true
			}
		}
		return false
	}
}

// click clicks on an element of the popup.
func (v *volunteer) click(selector string) {
	v.t.Helper()
	if err := click(v.ctx, v.page, selector); err != nil {
		v.t.Fatal(err)
	}
}

// eval evaluates an expression in the popup.
func (v *volunteer) eval(expression string, into any) {
	v.t.Helper()
	if err := evalInto(v.ctx, v.page, expression, into); err != nil {
		v.t.Fatal(err)
	}
}

// retry asks for a poll at once, with the button that is shown only when something is wrong.
func (v *volunteer) retry() {
	v.t.Helper()
	v.eval(`document.querySelector("#retry").click()`, nil)
}

// set chooses a value for a setting.
func (v *volunteer) set(name, value string) {
	v.t.Helper()
	v.eval(fmt.Sprintf(`(() => {
		const e = document.querySelector("[name=%s]");
		e.value = %q;
		e.dispatchEvent(new Event("change", { bubbles: true }));
	})()`, name, value), nil)
}

// switchOn switches the volunteer on and waits until it asks for people.
func (v *volunteer) switchOn() {
	v.t.Helper()
	v.await("off", func(s shown) bool { return s.Phase == "off" && s.On == "false" })
	v.click("#toggle")
	v.await("on and polling", func(s shown) bool { return s.Phase == "polling" && s.On == "true" })
}
