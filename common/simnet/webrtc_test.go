package simnet

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"flurry/common/carrier/rtc"
	"flurry/common/simnet/line"
)

// WebRTC behind two NATs, in a bubble's time.
func TestWebRTCInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New()
		stunner := w.Host(Access{})
		stop, err := stunner.ServeSTUN(3478)
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		shape := line.Shape{Rate: 1e6, Delay: 25 * time.Millisecond}
		var homes []*Home
		endpoint := func(kind NAT) *rtc.Endpoint {
			home := w.Home(kind, Access{Up: shape, Down: shape})
			homes = append(homes, home)
			e, err := rtc.New(rtc.Config{Net: home.Host(Access{}), ICEServers: []string{stunner.STUN(3478)}})
			if err != nil {
				t.Fatal(err)
			}
			return e
		}
		caller, answerer := endpoint(PortRestricted), endpoint(FullCone)
		var pending *rtc.Pending
		c, err := caller.Dial(t.Context(), "", func(ctx context.Context, offer string) (string, error) {
			var err error
			if pending, err = answerer.Answer(ctx, offer); err != nil {
				return "", err
			}
			return pending.Answer(), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		d, err := pending.Wait(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		const total = 10e6
		start := time.Now()
		go func() {
			for range int(total / 1000) {
				c.Send(t.Context(), make([]byte, 1000))
			}
		}()
		buf := make([]byte, 65536)
		for got := 0; got < total; {
			n, err := d.Recv(buf)
			if err != nil {
				t.Fatal(err)
			}
			got += n
		}
		if took := time.Since(start); took < 10*time.Second || took > 30*time.Second {
			t.Errorf("10 MB over 1 MB/s took %v", took)
		}
		// Two ends that hear of each other's end at once can stop a bubble's
		// clock: pion's SCTPTransport.Stop waits for a timer with a lock held.
		for _, h := range homes {
			h.Up().Silence(true)
		}
	})
}
