package snowclient

import (
	"context"
	"errors"
	"fmt"
	"time"

	"flurry/common/messages"
)

// rendezvousTimeout bounds one exchange with the broker. Brokers answer within
// 5 s, old ones within 10 s (spec section 2.3), and appendix C asks clients to
// allow 15.
const rendezvousTimeout = 15 * time.Second

// A signaller trades our offers for proxies' answers over a Rendezvous. One per
// Transport; exchange may be called from any goroutine.
type signaller struct {
	rendezvous  Rendezvous
	fingerprint messages.Fingerprint
	nat         *natState // says which kind of NAT we state
}

// exchange sends offer to the broker and returns the answer, and the kind of
// NAT that it stated. A refusal by the broker is a *BrokerError.
func (s *signaller) exchange(ctx context.Context, offer string) (answer string, sent messages.NATType, err error) {
	sent = s.nat.toSend()
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
