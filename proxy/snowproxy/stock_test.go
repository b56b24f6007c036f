package snowproxy

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"flurry/common/messages"
)

// preparing counts what a Proxy asks of a Preparer.
type preparing struct {
	fakeAnswerer
	prepared, closed atomic.Int32
}

func (a *preparing) Prepare() { a.prepared.Add(1) }
func (a *preparing) Close()   { a.closed.Add(1) }

// A proxy gets ready before each poll for a while after its start and after each
// client, and then no more.
func TestPreparesWhileClientsCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var polls atomic.Int32
		var client atomic.Bool
		broker := &fakeBroker{poll: func(context.Context, messages.ProxyPollRequest) (any, error) {
			polls.Add(1)
			if client.Swap(false) {
				return match(0), nil
			}
			return messages.ProxyPollResponse{Status: messages.StatusNoMatch}, nil
		}}
		a := &preparing{}
		p := newProxy(t, broker, func(c *Config) { c.Answerer = a })
		stop := start(t, p)
		// After d, so many polls and times of getting ready since the last call.
		var lastPolls, lastPrepared int32
		after := func(d time.Duration) (polled, prepared int32) {
			time.Sleep(d)
			polled, prepared = polls.Load()-lastPolls, a.prepared.Load()-lastPrepared
			lastPolls, lastPrepared = polls.Load(), a.prepared.Load()
			return
		}
		if polled, prepared := after(stockFor - time.Minute); polled < 10 || prepared != polled {
			t.Errorf("in the beginning: %d polls, ready %d times", polled, prepared)
		}
		after(2 * time.Minute)
		if polled, prepared := after(time.Hour); polled < 100 || prepared != 0 {
			t.Errorf("later: %d polls, ready %d times", polled, prepared)
		}
		client.Store(true)
		after(time.Minute)
		if polled, prepared := after(time.Minute); polled < 5 || prepared != polled {
			t.Errorf("after a client: %d polls, ready %d times", polled, prepared)
		}
		stop()
		if a.closed.Load() != 1 {
			t.Errorf("closed %d times", a.closed.Load())
		}
	})
}
