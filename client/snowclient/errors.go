package snowclient

import (
	"errors"
	"fmt"
)

// Errors that callers branch on.
var (
	// ErrClosed is what Dial returns after Close, and what a stream returns
	// that was open when its Transport was closed.
	ErrClosed = errors.New("snowclient: transport closed")

	// ErrSessionLost is what a stream returns when its session ended under
	// it: no proxy reaches the bridge any more, or the bridge has forgotten
	// the session, mostly because it was restarted. The next Dial begins a
	// new one.
	ErrSessionLost = errors.New("snowclient: session lost")

	// ErrStale ends a path through a proxy that has fallen silent. Its text
	// is one that frontends match (spec section 10.1).
	ErrStale = errors.New("no messages received, closing stale connection")
)

// A BrokerError is a refusal by the broker in its own words, for instance
// messages.ErrTextNoProxies.
type BrokerError struct {
	Text string
}

// Error gives the broker's words unchanged: frontends match them.
func (e *BrokerError) Error() string { return e.Text }

// A configError names the field of Config that is at fault.
func configError(field, format string, args ...any) error {
	return fmt.Errorf("snowclient config: %s: %s", field, fmt.Sprintf(format, args...))
}
