package rtc

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"flurry/common/sdp"

	"github.com/pion/datachannel"
)

// The types of descriptions (spec section 5.1).
const (
	typeOffer  = "offer"
	typeAnswer = "answer"
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
	p, err := e.peer()
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
	if err := p.gathering.wait(ctx, e.cfg.GatherTimeout); err != nil {
		return nil, fmt.Errorf("offer: %w", err)
	}
	if p.shaper != nil {
		p.shaper.answerEarly(p.local)
		defer p.shaper.stopEarly() // if start does not
	}
	offer := sdp.Description{Type: typeOffer, SDP: p.describe(setupActpass, "")}
	text, err := signal(ctx, offer.String())
	if err != nil {
		return nil, err
	}
	r, answer, err := parse(text, typeAnswer)
	if err != nil {
		return nil, err
	}
	channel := &datachannel.Config{
		ChannelType: choose(answer).channelType(), Priority: e.look.priority, Label: label, LoggerFactory: loggers{e.cfg.Logger},
	}
	if err := p.start(r, channel); err != nil {
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
	r, _, err := parse(offer, typeOffer)
	if err != nil {
		return nil, fmt.Errorf("answer: %w", err)
	}
	p, err := e.peer()
	if err != nil {
		return nil, fmt.Errorf("answer: %w", err)
	}
	text, err := e.answer(ctx, p, r)
	if err != nil {
		p.close()
		return nil, fmt.Errorf("answer: %w", err)
	}
	return &Pending{p: p, text: text, timeout: e.cfg.OpenTimeout}, nil
}

func (e *Endpoint) answer(ctx context.Context, p *peer, r remote) (string, error) {
	if err := p.start(r, nil); err != nil {
		return "", err
	}
	if err := p.gathering.wait(ctx, e.cfg.GatherTimeout); err != nil {
		return "", err
	}
	return p.publishAnswer(r), nil
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
