package rtc

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"flurry/common/carrier"
	"flurry/common/carrier/carriertest"

	"github.com/pion/datachannel"
	"github.com/pion/webrtc/v4"
)

// A foreignConn is a data channel of pion/webrtc, an independent stack that the
// deployed programs are made of, as a carrier.Conn.
type foreignConn struct {
	pc      *webrtc.PeerConnection
	dc      *webrtc.DataChannel
	channel datachannel.ReadWriteCloserDeadliner
	room    chan struct{}

	rest []byte // used by Recv only

	endOnce, closeOnce sync.Once
	done               chan struct{}
	err                error
	mu                 sync.Mutex
	closing            bool
}

// foreignWindow is what deployed proxies have under way (spec section 6).
const foreignWindow = 512 << 10

func newForeignConn(pc *webrtc.PeerConnection, dc *webrtc.DataChannel) (*foreignConn, error) {
	channel, err := dc.DetachWithDeadline()
	if err != nil {
		return nil, err
	}
	c := &foreignConn{pc: pc, dc: dc, channel: channel, room: make(chan struct{}, 1), done: make(chan struct{})}
	dc.SetBufferedAmountLowThreshold(foreignWindow / 2)
	dc.OnBufferedAmountLow(func() {
		select {
		case c.room <- struct{}{}:
		default:
		}
	})
	return c, nil
}

func (c *foreignConn) end(err error) error {
	c.mu.Lock()
	closing := c.closing
	c.mu.Unlock()
	if closing {
		err = carrier.ErrClosed
	} else {
		err = io.EOF
	}
	c.endOnce.Do(func() {
		c.err = err
		close(c.done)
	})
	return c.err
}

func (c *foreignConn) Send(ctx context.Context, msg []byte) error {
	if len(msg) > maxMessage {
		return carrier.ErrTooLong
	}
	for c.Queued() >= foreignWindow {
		select {
		case <-c.room:
		case <-c.done:
			return c.err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if c.Err() != nil {
		return c.err
	}
	if _, err := c.channel.Write(msg); err != nil {
		return c.end(err)
	}
	return nil
}

func (c *foreignConn) Recv(buf []byte) (int, error) {
	for len(c.rest) == 0 {
		b := make([]byte, maxMessage+1)
		n, err := c.channel.Read(b)
		if err != nil {
			return 0, c.end(err)
		}
		c.rest = b[:n]
	}
	n := copy(buf, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func (c *foreignConn) Queued() int { return int(c.dc.BufferedAmount()) }

func (c *foreignConn) Traits() carrier.Traits {
	return carrier.Traits{Kind: "pion", Stream: true, MaxMessage: maxMessage}
}

func (c *foreignConn) Done() <-chan struct{} { return c.done }

func (c *foreignConn) Err() error {
	select {
	case <-c.done:
		return c.err
	default:
		return nil
	}
}

func (c *foreignConn) Close() error {
	c.closeOnce.Do(func() {
		for end := time.Now().Add(drainLimit); c.Queued() > 0 && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
		c.mu.Lock()
		c.closing = true
		c.mu.Unlock()
		c.end(carrier.ErrClosed)
		c.channel.Close()
		c.pc.GracefulClose()
	})
	return nil
}

// foreignPeer is a peer connection of pion/webrtc whose first channel to open
// comes out of opened.
func foreignPeer(t *testing.T) (pc *webrtc.PeerConnection, opened chan *foreignConn, expect func(*webrtc.DataChannel)) {
	t.Helper()
	var se webrtc.SettingEngine
	se.SetIncludeLoopbackCandidate(true)
	se.DetachDataChannels()
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(se)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	opened = make(chan *foreignConn, 1)
	expect = func(dc *webrtc.DataChannel) {
		dc.OnOpen(func() {
			if c, err := newForeignConn(pc, dc); err == nil {
				opened <- c
			}
		})
	}
	return pc, opened, expect
}

// foreignAnswer dials a pion/webrtc peer.
func foreignAnswer(t *testing.T, profile Profile) (a, b carrier.Conn) {
	t.Helper()
	pc, opened, expect := foreignPeer(t)
	pc.OnDataChannel(expect)
	ours, err := endpoint(t, Config{KeepLocalAddresses: true, Profile: profile}).Dial(t.Context(), "", func(_ context.Context, offer string) (string, error) {
		apply(t, pc, offer)
		answer, err := pc.CreateAnswer(nil)
		if err != nil {
			return "", err
		}
		return describeDeployed(t, pc, answer), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return ours, <-opened
}

// foreignOffer answers a pion/webrtc peer.
func foreignOffer(t *testing.T, profile Profile) (a, b carrier.Conn) {
	t.Helper()
	pc, opened, expect := foreignPeer(t)
	dc, err := pc.CreateDataChannel("snowflake-0123456789abcdef", nil)
	if err != nil {
		t.Fatal(err)
	}
	expect(dc)
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := endpoint(t, Config{KeepLocalAddresses: true, Profile: profile}).Answer(t.Context(), describeDeployed(t, pc, offer))
	if err != nil {
		t.Fatal(err)
	}
	apply(t, pc, p.Answer())
	ours, err := p.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return ours, <-opened
}

// The contract holds with pion/webrtc at the other end, in either role. Other
// profiles are met by TestDeployedAnswerer and TestDeployedOfferer.
func TestForeignContract(t *testing.T) {
	for name, dial := range map[string]func(*testing.T, Profile) (a, b carrier.Conn){"answers": foreignAnswer, "offers": foreignOffer} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			carriertest.Check(t, func(t *testing.T) (a, b carrier.Conn) { return dial(t, Chromium) })
		})
	}
}

// A certificate that is not the one described ends the connection.
func TestWrongFingerprint(t *testing.T) {
	for _, profile := range profiles {
		cfg := Config{KeepLocalAddresses: true, Profile: profile, OpenTimeout: 3 * time.Second}
		a, b := endpoint(t, cfg), endpoint(t, cfg)
		_, err := a.Dial(t.Context(), "", func(ctx context.Context, offer string) (string, error) {
			p, err := b.Answer(ctx, offer)
			if err != nil {
				return "", err
			}
			go p.Wait(context.WithoutCancel(ctx)) // which closes it
			other, err := b.Answer(ctx, offer)
			if err != nil {
				return "", err
			}
			defer other.Close()
			own, theirs := fingerprintOf(p.p.certificate), fingerprintOf(other.p.certificate)
			return strings.Replace(p.Answer(), own, theirs, 1), nil
		})
		if !errors.Is(err, ErrFailed) && !errors.Is(err, ErrOpenTimeout) {
			t.Errorf("%s: %v", profile, err)
		}
	}
}
