package webext

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// A driver speaks with a running browser in its own protocol.
type driver interface {
	// popup shows the extension's popup in a tab.
	popup(ctx context.Context) (tab, error)
	open(ctx context.Context, url string) (tab, error)
	// frame finds the frame of a page whose address begins with url, after waiting for it.
	frame(ctx context.Context, page tab, url string) (tab, error)
	// quit has the browser end as its user would.
	quit(ctx context.Context) error
	// close lets go of the browser, which goes on.
	close()
}

// A tab is a page, or a frame in one.
type tab interface {
	// eval returns the value of an expression, or of the promise that it is.
	eval(ctx context.Context, expression string) (json.RawMessage, error)
	// press clicks at a place of the tab, in CSS pixels.
	press(ctx context.Context, x, y float64) error
	resize(ctx context.Context, width, height int) error
	// screenshot is a PNG of what is seen.
	screenshot(ctx context.Context) ([]byte, error)
	close(ctx context.Context) error
}

// inJSON is an expression whose value is that of another in JSON, the one form that both protocols hand over alike.
func inJSON(expression string) string {
	return "(async () => JSON.stringify(await (" + expression + ")))()"
}

// jsonOf is what inJSON made, or null if that was undefined.
func jsonOf(value *string) json.RawMessage {
	if value == nil {
		return json.RawMessage("null")
	}
	return json.RawMessage(*value)
}

// evalInto is eval with the value decoded, unless into is nil.
func evalInto(ctx context.Context, p tab, expression string, into any) error {
	b, err := p.eval(ctx, expression)
	if err != nil || into == nil {
		return err
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("%.200s: %w", expression, err)
	}
	return nil
}

// click clicks in the middle of an element, wherever that is.
func click(ctx context.Context, p tab, selector string) error {
	var at *struct{ X, Y float64 }
	err := evalInto(ctx, p, fmt.Sprintf(`(() => {
		const e = document.querySelector(%q);
		if (!e) return null;
		e.scrollIntoView({ block: "center", behavior: "instant" });
		const r = e.getBoundingClientRect();
		return { X: r.x + r.width / 2, Y: r.y + r.height / 2 };
	})()`, selector), &at)
	if err == nil && at == nil {
		err = errors.New("no such element")
	}
	if err == nil {
		err = p.press(ctx, at.X, at.Y)
	}
	if err != nil {
		return fmt.Errorf("click %s: %w", selector, err)
	}
	return nil
}

// lookEvery is how often a test looks at something that cannot tell it of changes: another process.
const lookEvery = 50 * time.Millisecond

// until waits until f says that what it describes is so, or ctx ends.
func until(ctx context.Context, f func() (ok bool, state string)) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		ok, state := f()
		if ok {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", state, context.Cause(ctx))
		}
	}
}
