package snowproxy

import (
	"context"
	"sync/atomic"
)

// clientsUnit: the number of clients in a poll is rounded down to a multiple
// of this (spec section 4.5), so that it says little about any one of them.
const clientsUnit = 8

// tokens are the proxy's capacity. One is taken before each poll and given back
// when that poll brought no client, or else when the client's session ends.
type tokens struct {
	slots chan struct{} // holds one value for each token out; nil means no limit
	out   atomic.Int64
}

// newTokens makes n tokens; 0 means that there is always one more.
func newTokens(n int) *tokens {
	t := &tokens{}
	if n > 0 {
		t.slots = make(chan struct{}, n)
	}
	return t
}

// take waits for a token, or until ctx ends.
func (t *tokens) take(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if t.slots != nil {
		select {
		case t.slots <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	t.out.Add(1)
	return nil
}

// release gives one token back. Each take is followed by one release.
func (t *tokens) release() {
	t.out.Add(-1)
	if t.slots != nil {
		<-t.slots
	}
}

// clientsReported is what a poll says of n clients being served.
func clientsReported(n int64) int { return int(n / clientsUnit * clientsUnit) }
