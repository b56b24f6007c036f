package rtc

import (
	"context"
	"testing"

	"flurry/common/sdp"

	"github.com/pion/webrtc/v4"
)

// Two of ours do without a nomination.
func TestQuickBetweenOurs(t *testing.T) {
	a, b := endpoint(t, Config{KeepLocalAddresses: true}), endpoint(t, Config{KeepLocalAddresses: true})
	other := make(chan *Conn, 1)
	c, err := a.Dial(t.Context(), "", func(ctx context.Context, offer string) (string, error) {
		p, err := b.Answer(ctx, offer)
		if err != nil {
			return "", err
		}
		if parsed, _ := sdp.Parse(p.Answer()); !sdp.SelectsEarly(parsed.SDP) {
			t.Errorf("the answer does not say that it selects early: %q", parsed.SDP)
		}
		go func() {
			c, err := p.Wait(context.Background())
			if err != nil {
				t.Error(err)
			}
			other <- c
		}()
		return p.Answer(), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	d := <-other
	defer d.Close()
	if !c.p.selection.selected.Load() || !d.p.selection.selected.Load() {
		t.Errorf("selected early: offerer %v, answerer %v", c.p.selection.selected.Load(), d.p.selection.selected.Load())
	}
}

var profiles = []Profile{Chromium, Firefox, Pion}

// A deployed peer: the same stack without our settings.
func newDeployed(t *testing.T) *webrtc.PeerConnection {
	t.Helper()
	var se webrtc.SettingEngine
	se.SetIncludeLoopbackCandidate(true)
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(se)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.GracefulClose() })
	return pc
}

// describeDeployed applies d as the local description and returns the wrapper text of
// what came of it.
func describeDeployed(t *testing.T, pc *webrtc.PeerConnection, d webrtc.SessionDescription) string {
	t.Helper()
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(d); err != nil {
		t.Fatal(err)
	}
	<-gathered
	return sdp.Description{Type: d.Type.String(), SDP: pc.LocalDescription().SDP}.String()
}

func apply(t *testing.T, pc *webrtc.PeerConnection, text string) {
	t.Helper()
	d, err := sdp.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.NewSDPType(d.Type), SDP: d.SDP}); err != nil {
		t.Fatal(err)
	}
}

// echo sends back what comes.
func echo(dc *webrtc.DataChannel) {
	dc.OnMessage(func(m webrtc.DataChannelMessage) { dc.Send(m.Data) })
}

func checkEcho(t *testing.T, c *Conn) {
	t.Helper()
	if err := c.Send(t.Context(), []byte("hello")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	if n, err := c.Recv(buf); err != nil || string(buf[:n]) != "hello" {
		t.Errorf("%q, %v", buf[:n], err)
	}
}

func TestDeployedAnswerer(t *testing.T) {
	for _, profile := range profiles {
		t.Run(string(profile), func(t *testing.T) { checkDeployedAnswerer(t, profile) })
	}
}

func checkDeployedAnswerer(t *testing.T, profile Profile) {
	pc := newDeployed(t)
	pc.OnDataChannel(echo)
	a := endpoint(t, Config{KeepLocalAddresses: true, Profile: profile})
	c, err := a.Dial(t.Context(), "", func(_ context.Context, offer string) (string, error) {
		apply(t, pc, offer)
		answer, err := pc.CreateAnswer(nil)
		if err != nil {
			t.Fatal(err)
		}
		return describeDeployed(t, pc, answer), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if profile == Pion && c.p.selection.early.Load() {
		t.Error("a deployed answerer is taken for one that selects early")
	}
	checkEcho(t, c)
}

func TestDeployedOfferer(t *testing.T) {
	for _, profile := range profiles {
		t.Run(string(profile), func(t *testing.T) { checkDeployedOfferer(t, profile) })
	}
}

func checkDeployedOfferer(t *testing.T, profile Profile) {
	pc := newDeployed(t)
	dc, err := pc.CreateDataChannel("x", nil)
	if err != nil {
		t.Fatal(err)
	}
	echo(dc)
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := endpoint(t, Config{KeepLocalAddresses: true, Profile: profile})
	p, err := b.Answer(t.Context(), describeDeployed(t, pc, offer))
	if err != nil {
		t.Fatal(err)
	}
	apply(t, pc, p.Answer())
	c, err := p.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	checkEcho(t, c)
}
