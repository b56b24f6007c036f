package snowclient

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"flurry/common/messages"
)

// rendezvousTimeout bounds one exchange with the broker. Brokers answer within
// 5 s, old ones within 10 s (spec section 2.3), and appendix C asks clients to
// allow 15.
const rendezvousTimeout = 15 * time.Second

// A signaller trades our offers for proxies' answers over a Rendezvous, and
// decides which kind of NAT we state. One per Transport; all methods may be
// called from any goroutine.
type signaller struct {
	// Fixed after construction.
	rendezvous  Rendezvous
	fingerprint messages.Fingerprint

	// Guarded by mu.
	mu          sync.Mutex
	actual      messages.NATType // what the probe found; unknown until it has
	spoofFailed bool             // see natToSend
}

func newSignaller(r Rendezvous, fp messages.Fingerprint) *signaller {
	return &signaller{rendezvous: r, fingerprint: fp, actual: messages.NATUnknown}
}

// natToSend is the kind of NAT to state to the broker (spec section 7.5).
// While the kind is unknown we claim to be unrestricted, because the broker
// then gives us any proxy and most combinations work; once such a claim has
// ended in a carrier that did not open we are honest.
func natToSend(actual messages.NATType, spoofFailed bool) messages.NATType {
	if actual == messages.NATUnknown && !spoofFailed {
		return messages.NATUnrestricted
	}
	return actual
}

// spoofed tells whether a carrier that did not open, won with the claim sent,
// speaks against further such claims.
func spoofed(actual, sent messages.NATType) bool {
	return actual == messages.NATUnknown && sent == messages.NATUnrestricted
}

// setNAT records what the NAT probe has found.
func (s *signaller) setNAT(n messages.NATType) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.actual = n
}

// channelFailed records that a carrier won with the claim sent did not open.
func (s *signaller) channelFailed(sent messages.NATType) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if spoofed(s.actual, sent) {
		s.spoofFailed = true
	}
}

// exchange sends offer to the broker and returns the answer, and the kind of
// NAT that it stated. A refusal by the broker is a *BrokerError.
func (s *signaller) exchange(ctx context.Context, offer string) (answer string, sent messages.NATType, err error) {
	s.mu.Lock()
	sent = natToSend(s.actual, s.spoofFailed)
	s.mu.Unlock()

	request, err := messages.ClientPollRequest{Offer: offer, NAT: sent, Fingerprint: s.fingerprint}.Encode()
	if err != nil {
		return "", sent, fmt.Errorf("encode client poll: %w", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, rendezvousTimeout,
		fmt.Errorf("no reply within %v", rendezvousTimeout))
	defer cancel()
	reply, err := s.rendezvous.Exchange(ctx, request)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil && errors.Is(err, context.DeadlineExceeded) {
			err = cause
		}
		return "", sent, err
	}
	response, err := messages.DecodeClientPollResponse(reply)
	switch {
	case errors.Is(err, messages.ErrEmptyResponse):
		return "", sent, err
	case err != nil:
		return "", sent, fmt.Errorf("decode broker response: %w", err)
	case response.Error != "":
		return "", sent, &BrokerError{Text: response.Error}
	}
	return response.Answer, sent, nil
}
