package rtc

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"flurry/common/simnet"
	"flurry/common/simnet/line"
)

// firstByte measures, over a line of the round trip, the time from when the
// offerer has the answer until its first message is with the answerer.
func firstByte(t *testing.T, profile Profile, roundTrip, signal time.Duration) (took time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := simnet.New()
		host := func() *simnet.Host {
			shape := line.Shape{Delay: roundTrip / 4}
			return w.Host(simnet.Access{Up: shape, Down: shape})
		}
		a, b := endpoint(t, Config{Net: host(), Profile: profile}), endpoint(t, Config{Net: host(), Profile: profile})
		var start time.Time
		arrived := make(chan *Conn, 1)
		c, err := a.Dial(t.Context(), "", func(ctx context.Context, offer string) (string, error) {
			p, err := b.Answer(ctx, offer)
			if err != nil {
				return "", err
			}
			go func() {
				d, err := p.Wait(context.Background())
				if err != nil {
					t.Error(err)
				} else if _, err := d.Recv(make([]byte, 100)); err != nil {
					t.Error(err)
				}
				took = time.Since(start)
				arrived <- d
			}()
			time.Sleep(signal)
			start = time.Now()
			return p.Answer(), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Send(t.Context(), []byte("first")); err != nil {
			t.Fatal(err)
		}
		d := <-arrived
		c.Close()
		d.Close()
	})
	return took
}

// A browser's look saves two round trips at the start: the cookie exchange
// (HelloVerifyRequest), which pion has and browsers do not, and that its DTLS
// client sends INIT right behind its Finished, where pion's waits for the
// server's. Firefox's offerer gives one back by waiting until its channel is
// acknowledged.
func TestFirstByte(t *testing.T) {
	const roundTrip = 100 * time.Millisecond
	for _, signal := range []time.Duration{0, 30 * time.Millisecond, 700 * time.Millisecond, 3 * time.Second} {
		plain := firstByte(t, Pion, roundTrip, signal)
		for profile, saved := range map[Profile]time.Duration{Chromium: 2 * roundTrip, Firefox: roundTrip - 2*mostForHandOver} {
			took := firstByte(t, profile, roundTrip, signal)
			t.Logf("answer after %v: %s %v, pion %v", signal, profile, took, plain)
			if took > plain-saved+5*time.Millisecond {
				t.Errorf("%s: the first byte after %v; %v with pion's", profile, took, plain)
			}
		}
	}
}
