package snowproxy

import (
	"context"
	"time"

	"flurry/common/carrier"
	"flurry/common/carrier/rtc"
)

const (
	// openLimit is how long a client has to open its channel once its answer
	// has been delivered (spec section 3.5).
	openLimit = 20 * time.Second
)

// An Answerer makes the proxy's end of the carrier to a client. It may be used
// from several goroutines.
type Answerer interface {
	// Answer takes a client's offer and returns within 3.75 s.
	Answer(ctx context.Context, offer string) (PendingCarrier, error)
}

// A PendingCarrier has answered an offer; its carrier is not open yet. The
// holder ends it with Wait or with Close.
type PendingCarrier interface {
	// Answer is the session description to deliver.
	Answer() string
	// Wait returns the open carrier. After an error nothing is left to close.
	Wait(ctx context.Context) (carrier.Conn, error)
	// Close gives up.
	Close()
}

// webRTC is the Answerer of the deployed network.
type webRTC struct{ endpoint *rtc.Endpoint }

// rtcConfig is common to the endpoint for clients and that for NAT probes. The
// WebRTC stack stays silent: its lines for each packet would drown ours, and
// cost more than the packets.
func rtcConfig(cfg Config) rtc.Config {
	return rtc.Config{
		ICEServers:         cfg.STUNServers,
		KeepLocalAddresses: cfg.KeepLocalAddresses,
		OutboundAddress:    cfg.OutboundAddress,
		PortMin:            cfg.PortMin,
		PortMax:            cfg.PortMax,
		Profile:            cfg.Profile,
	}
}

func newWebRTC(cfg Config) (webRTC, error) {
	c := rtcConfig(cfg)
	c.OpenTimeout = openLimit
	// WebSocket and WebTransport give the pump whole messages. What another Upstream does is
	// not known.
	c.KeepsEdges = cfg.Upstream == nil
	endpoint, err := rtc.New(c)
	return webRTC{endpoint}, err
}

// Answer implements Answerer.
func (w webRTC) Answer(ctx context.Context, offer string) (PendingCarrier, error) {
	p, err := w.endpoint.Answer(ctx, offer)
	if err != nil {
		return nil, err
	}
	return pendingRTC{p}, nil
}

type pendingRTC struct{ *rtc.Pending }

// Wait implements PendingCarrier.
func (p pendingRTC) Wait(ctx context.Context) (carrier.Conn, error) {
	c, err := p.Pending.Wait(ctx)
	if err != nil {
		return nil, err
	}
	return c, nil
}
