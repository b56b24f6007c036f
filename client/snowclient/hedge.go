package snowclient

import (
	"context"
	"fmt"
	"sync"
	"time"

	"flurry/common/carrier"
)

// When a stage of an attempt is slow: a second attempt then starts beside it.
// Each offer takes a volunteer from those who wait, so that slow means that
// something is most probably wrong.
const (
	// slowExchange is for the exchange with the broker. It takes four or five
	// round trips and what the proxy's STUN servers take: 1 s where the broker
	// is 150 ms away. Brokers give a silent proxy up after 5 s (spec section 2.3).
	slowExchange = 3 * time.Second

	// slowOpening is the least for the channel to open, at most seven round
	// trips to a deployed proxy: 2.1 s where each takes 300 ms. A client gives
	// up after 10 s (spec section 6).
	slowOpening = 2 * time.Second

	// slowFactor times what a stage lately took is slow too, where that is more:
	// a network with round trips of a second is no reason to take two proxies.
	slowFactor = 3
)

// A pace is how long the stages of attempts took when they worked. All methods
// may be called from any goroutine.
type pace struct {
	mu                sync.Mutex
	exchange, opening time.Duration // 0 before the first
}

// limit is the time after which a stage is slow, given what the stage before it
// took in the same attempt.
func (p *pace) limit(s stage, before time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case s == stageExchange:
		return max(slowExchange, slowFactor*p.exchange)
	case p.opening == 0:
		// The exchange has told how far away things are.
		return max(slowOpening, slowFactor*before)
	default:
		return max(slowOpening, slowFactor*p.opening)
	}
}

// took records a stage that worked. One that was quicker than others lowers the
// figure slowly: what was normal once is not slow.
func (p *pace) took(s stage, d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	of := &p.exchange
	if s == stageOpening {
		of = &p.opening
	}
	*of = max(d, *of*7/8)
}

// connect makes a carrier through whatever proxy the broker gives. When the
// attempt is slow a second one starts beside it; the first carrier to open is
// returned and the other attempt given up. An error is that of the last attempt
// to fail.
func (t *Transport) connect(ctx context.Context) (carrier.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // gives up whatever is still under way
	results := make(chan attemptResult)
	first := t.launch(ctx, results)
	running, watched := 1, first.reached
	var reached stage
	var at time.Time
	slow := time.NewTimer(attemptTimeout)
	defer slow.Stop()
	for {
		select {
		case s := <-watched:
			now := time.Now()
			slow.Reset(t.pace.limit(s, now.Sub(at)))
			reached, at = s, now
		case <-slow.C:
			t.log.Info("the offer is slow to lead to a carrier, making another")
			if reached == stageOpening {
				// Should it open after all, nothing is lost by honesty.
				t.nat.channelFailed(first.sent)
			}
			t.launch(ctx, results)
			running++
			watched = nil // and the first may take its time
		case r := <-results:
			running--
			if r.err == nil || running == 0 {
				return r.carrier, r.err
			}
		case <-ctx.Done():
			return nil, fmt.Errorf("dial carrier: %w", context.Cause(ctx))
		}
	}
}

// An attemptResult is what one attempt came to.
type attemptResult struct {
	carrier carrier.Conn
	err     error
}

// launch starts an attempt as a task of the Transport. Its result goes to
// results, or away if ctx ends first.
func (t *Transport) launch(ctx context.Context, results chan<- attemptResult) *progress {
	p := &progress{reached: make(chan stage, stages)}
	t.tasks.Go(func() {
		c, err := t.attempt(ctx, p)
		select {
		case results <- attemptResult{c, err}:
		case <-ctx.Done():
			if err == nil {
				c.Close()
			}
		}
	})
	return p
}
