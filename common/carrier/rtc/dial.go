package rtc

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"flurry/common/sdp"

	"github.com/pion/webrtc/v4"
)

var (
	// ErrOpenTimeout says that both descriptions were known and yet the data
	// channel did not open in time. Frontends match its text.
	ErrOpenTimeout = errors.New("timeout waiting for DataChannel.OnOpen")

	// ErrBadDescription says that the other side's description cannot be used.
	ErrBadDescription = errors.New("unusable session description")

	// ErrFailed says that no candidate pair works, or that a connection that
	// worked has been dead for too long.
	ErrFailed = errors.New("the peer connection has failed")
)

// SignalFunc trades our offer for the other side's answer, both as wrapper
// texts.
type SignalFunc = func(ctx context.Context, offer string) (answer string, err error)

// Dial offers a connection through signal and waits for its data channel, a
// reliable one. With an empty label the channel gets the one that deployed
// clients use. It returns ErrOpenTimeout when there was an answer and nothing
// more.
func (e *Endpoint) Dial(ctx context.Context, label string, signal SignalFunc) (*Conn, error) {
	return e.DialKind(ctx, label, signal, func(string) Kind { return Reliable })
}

// DialKind is Dial with a channel of the kind that choose picks. The offer says
// nothing of it.
func (e *Endpoint) DialKind(ctx context.Context, label string, signal SignalFunc, choose Choice) (*Conn, error) {
	if label == "" {
		label = randomLabel()
	}
	p, err := e.peer(true)
	if err != nil {
		return nil, fmt.Errorf("offer: %w", err)
	}
	conn, err := e.offer(ctx, p, label, signal, choose)
	if err != nil {
		p.close()
		return nil, err
	}
	return conn, nil
}

func (e *Endpoint) offer(ctx context.Context, p *peer, label string, signal SignalFunc, choose Choice) (*Conn, error) {
	desc, err := p.pc.CreateOffer(nil)
	if err != nil {
		return nil, fmt.Errorf("offer: %w", err)
	}
	if err := p.describe(ctx, desc, e.cfg.GatherTimeout); err != nil {
		return nil, fmt.Errorf("offer: %w", err)
	}
	text, err := signal(ctx, e.publish(p))
	if err != nil {
		return nil, err
	}
	answer, err := parse(text, webrtc.SDPTypeAnswer)
	if err != nil {
		return nil, err
	}
	// The channel's own message leaves only when SCTP is up, so there is time
	// to choose; and before the answer is applied nothing can race with it.
	dc, err := p.pc.CreateDataChannel(label, choose(answer.SDP).init())
	if err != nil {
		return nil, fmt.Errorf("offer: %w", err)
	}
	p.expect(dc)
	if err := p.accept(answer); err != nil {
		return nil, err
	}
	return p.wait(ctx, e.cfg.OpenTimeout)
}

// randomLabel is "snowflake-" and 8 random bytes in hex (spec section 6).
func randomLabel() string {
	var b [8]byte
	rand.Read(b[:])
	return "snowflake-" + hex.EncodeToString(b[:])
}

// Pending is an answered offer whose data channel is not open yet. The holder
// ends it with Wait or Close.
type Pending struct {
	p       *peer
	text    string
	timeout time.Duration
}

// Answer takes an offer, gathers candidates and returns with the answer ready
// to be sent. The connection begins to form at once.
func (e *Endpoint) Answer(ctx context.Context, offer string) (*Pending, error) {
	p, err := e.peer(false)
	if err != nil {
		return nil, fmt.Errorf("answer: %w", err)
	}
	text, err := e.answer(ctx, p, offer)
	if err != nil {
		p.close()
		return nil, fmt.Errorf("answer: %w", err)
	}
	return &Pending{p: p, text: text, timeout: e.cfg.OpenTimeout}, nil
}

func (e *Endpoint) answer(ctx context.Context, p *peer, offer string) (string, error) {
	p.pc.OnDataChannel(func(dc *webrtc.DataChannel) { p.expect(dc) })
	remote, err := parse(offer, webrtc.SDPTypeOffer)
	if err != nil {
		return "", err
	}
	if err := p.accept(remote); err != nil {
		return "", err
	}
	desc, err := p.pc.CreateAnswer(nil)
	if err != nil {
		return "", err
	}
	if err := p.describe(ctx, desc, e.cfg.GatherTimeout); err != nil {
		return "", err
	}
	return e.publish(p), nil
}

// Answer is the wrapper text to send back.
func (p *Pending) Answer() string { return p.text }

// Wait returns the open data channel, or ErrOpenTimeout. After an error the
// connection is closed.
func (p *Pending) Wait(ctx context.Context) (*Conn, error) {
	conn, err := p.p.wait(ctx, p.timeout)
	if err != nil {
		p.p.close()
	}
	return conn, err
}

// Close gives the connection up. After a Wait that succeeded it must not be
// called: the Conn owns the connection then.
func (p *Pending) Close() { p.p.close() }

// peer is one peer connection on its way to a Conn.
type peer struct {
	pc *webrtc.PeerConnection

	gathering *gathering
	selection selection

	opened   chan *Conn // the first channel, once open; buffered
	openOnce sync.Once
	failed   chan struct{} // closed when ICE or DTLS has failed
	failOnce sync.Once
	closed   chan struct{} // closed when either end has closed the connection
	shutOnce sync.Once
}

// peer returns the connection that Prepare made ready, or a new one.
func (e *Endpoint) peer(offers bool) (*peer, error) {
	if p := e.stock.take(); p != nil {
		return p, nil
	}
	return e.newPeer(offers, false)
}

// newPeer makes a connection. One for the stock begins to gather at once.
func (e *Endpoint) newPeer(offers, stocked bool) (*peer, error) {
	p := &peer{
		gathering: newGathering(stocked),
		opened:    make(chan *Conn, 1), failed: make(chan struct{}), closed: make(chan struct{}),
	}
	cfg := webrtc.Configuration{
		ICEServers: e.servers,
		// An offer has its data section before there is a channel.
		AlwaysNegotiateDataChannels: offers,
	}
	if stocked {
		cfg.ICECandidatePoolSize = 1
	}
	pc, err := e.api(p).NewPeerConnection(cfg)
	if err != nil {
		return nil, err
	}
	p.pc = pc
	pc.OnICECandidate(p.gathering.candidate)
	pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		switch s {
		case webrtc.PeerConnectionStateFailed:
			p.failOnce.Do(func() { close(p.failed) })
		case webrtc.PeerConnectionStateClosed:
			p.shutOnce.Do(func() { close(p.closed) })
		}
	})
	return p, nil
}

// expect arranges that the first channel to open becomes the Conn. Deployed
// proxies serve one channel for each connection, and so do we.
func (p *peer) expect(dc *webrtc.DataChannel) {
	dc.OnOpen(func() {
		p.openOnce.Do(func() {
			if raw, err := dc.DetachWithDeadline(); err == nil {
				p.opened <- newConn(p, dc, raw)
			}
		})
	})
}

// parse reads the other side's description, of which the type must be want.
func parse(text string, want webrtc.SDPType) (webrtc.SessionDescription, error) {
	d, err := sdp.Parse(text)
	if err != nil {
		return webrtc.SessionDescription{}, fmt.Errorf("%w: %w", ErrBadDescription, err)
	}
	if d.Type != want.String() {
		return webrtc.SessionDescription{}, fmt.Errorf("%w: its type is %q, not %q", ErrBadDescription, d.Type, want)
	}
	return webrtc.SessionDescription{Type: want, SDP: d.SDP}, nil
}

// accept applies the other side's description.
func (p *peer) accept(d webrtc.SessionDescription) error {
	p.selection.heed(d)
	if err := p.pc.SetRemoteDescription(d); err != nil {
		return fmt.Errorf("%w: %w", ErrBadDescription, err)
	}
	return nil
}

// describe applies our description and waits until it is ready to be sent, at
// most limit.
func (p *peer) describe(ctx context.Context, d webrtc.SessionDescription, limit time.Duration) error {
	gathered := webrtc.GatheringCompletePromise(p.pc)
	if err := p.pc.SetLocalDescription(d); err != nil {
		return err
	}
	return p.gathering.wait(ctx, gathered, limit)
}

func (p *peer) wait(ctx context.Context, limit time.Duration) (*Conn, error) {
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case c := <-p.opened:
		go c.watch()
		return c, nil
	case <-p.failed:
		return nil, ErrFailed
	case <-p.closed:
		return nil, ErrFailed
	case <-t.C:
		return nil, ErrOpenTimeout
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// close ends the connection and waits for the stack's goroutines.
func (p *peer) close() { p.pc.GracefulClose() }
