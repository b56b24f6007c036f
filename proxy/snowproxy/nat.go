package snowproxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"flurry/common/carrier/rtc"
	"flurry/common/messages"
)

const (
	// probeLimit bounds a whole probe: gathering at both ends (10 s each), the
	// wait for the channel, and the request.
	probeLimit = 60 * time.Second

	// probeGather is as long as the service itself takes (spec section 9.3): a
	// probe without our server-reflexive candidates would say nothing.
	probeGather = 10 * time.Second

	// probeOpen is how long the channel may take to open before the network
	// counts as restricted (spec section 9.3).
	probeOpen = 20 * time.Second

	// probeLabel is the label of the probe's data channel (spec section 9.3).
	probeLabel = "test"
)

// natProbe asks the probe service to connect to us from behind a restricted
// network.
type natProbe struct {
	endpoint *rtc.Endpoint
	http     http.RoundTripper
	url      string
}

func newNATProbe(cfg Config, rt http.RoundTripper) (*natProbe, error) {
	c := rtcConfig(cfg)
	c.GatherTimeout, c.OpenTimeout = probeGather, probeOpen
	endpoint, err := rtc.New(c)
	if err != nil {
		return nil, err
	}
	return &natProbe{endpoint: endpoint, http: rt, url: cfg.NATProbeURL}, nil
}

// probe offers a connection through the service: if it opens the network is
// unrestricted, if it was answered and does not open it is restricted. An error
// says nothing about the network.
func (n *natProbe) probe(ctx context.Context) (messages.NATType, error) {
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	conn, err := n.endpoint.Dial(ctx, probeLabel, n.signal)
	if errors.Is(err, rtc.ErrOpenTimeout) || errors.Is(err, rtc.ErrFailed) {
		return messages.NATRestricted, nil
	}
	if err != nil {
		return "", fmt.Errorf("probe NAT type: %w", err)
	}
	conn.Close()
	return messages.NATUnrestricted, nil
}

// signal trades our offer for the service's answer. The service speaks the
// broker's messages with the roles reversed.
func (n *natProbe) signal(ctx context.Context, offer string) (string, error) {
	body, err := messages.ProxyPollResponse{Status: messages.StatusClientMatch, Offer: offer}.Encode()
	if err != nil {
		return "", err
	}
	reply, err := post(ctx, n.http, n.url, body)
	if err != nil {
		return "", err
	}
	answer, err := messages.DecodeProxyAnswerRequest(reply)
	if err != nil {
		return "", err
	}
	return answer.Answer, nil
}
