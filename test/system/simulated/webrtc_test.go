package simulated

import (
	"context"
	"fmt"
	"testing"
	"time"

	"flurry/client/snowclient"
	"flurry/common/carrier"
	"flurry/common/carrier/rtc"
	"flurry/common/sdp"
	"flurry/common/simnet"
	"flurry/proxy/snowproxy"
)

const stunPort = 3478

// An rtcDialer implements snowclient.CarrierDialer as the client's own does, on
// a simulated host.
type rtcDialer struct{ endpoint *rtc.Endpoint }

// DialCarrier implements snowclient.CarrierDialer.
func (d rtcDialer) DialCarrier(ctx context.Context, signal snowclient.SignalFunc) (carrier.Conn, error) {
	c, err := d.endpoint.DialKind(ctx, "", signal, func(answer string) rtc.Kind {
		if sdp.KeepsEdges(answer) {
			return rtc.Unordered
		}
		return rtc.Reliable
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// An rtcAnswerer implements snowproxy.Answerer as the proxy's own does.
type rtcAnswerer struct{ endpoint *rtc.Endpoint }

// Answer implements snowproxy.Answerer.
func (a rtcAnswerer) Answer(ctx context.Context, offer string) (snowproxy.PendingCarrier, error) {
	p, err := a.endpoint.Answer(ctx, offer)
	if err != nil {
		return nil, err
	}
	return rtcPending{p}, nil
}

type rtcPending struct{ *rtc.Pending }

// Wait implements snowproxy.PendingCarrier.
func (p rtcPending) Wait(ctx context.Context) (carrier.Conn, error) {
	c, err := p.Pending.Wait(ctx)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// endpoint makes WebRTC connections from host, with the broker's host as STUN
// server.
func (s *simulation) endpoint(host *simnet.Host, keepsEdges bool) *rtc.Endpoint {
	s.t.Helper()
	e, err := rtc.New(rtc.Config{Net: host, ICEServers: []string{s.broker.STUN(stunPort)}, KeepsEdges: keepsEdges})
	s.must(err)
	return e
}

// The whole with pion's WebRTC, everybody but the bridge behind a NAT: one of
// two volunteers goes silent in a download. Carriers end here only in silence:
// pion, hearing of the other end's end, can wait for a timer with a lock held,
// and then the bubble's clock stands.
func TestWebRTC(t *testing.T) {
	for _, keepsEdges := range few(true, false) {
		t.Run(fmt.Sprintf("whole messages %v", keepsEdges), func(t *testing.T) {
			o := ordinary(2)
			o.webRTC = true
			simulate(t, o, func(s *simulation) {
				for i := range 2 {
					lines := access(megabits(8), 20*time.Millisecond, uint64(20+i))
					host := s.world.Home(simnet.FullCone, lines).Host(simnet.Access{})
					s.start(host, rtcAnswerer{s.endpoint(host, keepsEdges)})
				}
				c := s.warm(2)
				defer c.Close()
				s.atLeast("bytes a second", s.goodput(c, 6e6), 1.3e6)
				v := s.volunteers[0]
				time.AfterFunc(time.Second, v.silence)
				s.atMost("seconds of the longest stall", s.longestStall(c, 4e6).Seconds(), 4)
				_, err := put(c, 1e6)
				s.must(err)
			})
		})
	}
}
