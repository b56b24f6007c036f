package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"flurry/common/messages"
	"flurry/server/snowserver"
)

const (
	// brokerDialTimeout bounds TCP with the broker, and again TLS.
	brokerDialTimeout = 5 * time.Second

	// brokerIdle is how many connections are kept between requests, and
	// brokerIdleTime for how long.
	brokerIdle     = 16
	brokerIdleTime = 90 * time.Second

	// brokerHeader bounds the header of a reply. The broker sends 300 bytes.
	brokerHeader = 16 << 10

	// reportEvery is the period of the log line that counts requests.
	reportEvery = 24 * time.Hour

	// countBin is what the counts of that line are rounded up to a multiple of,
	// as in the broker's statistics.
	countBin = 8
)

// A broker is the one broker to which clients' sealed requests go. It posts them
// and does nothing else: no redirect is followed, no proxy of the environment
// used, no cookie kept, nothing logged. The address is the operator's own choice
// and may be a private one.
type broker struct {
	target    string
	transport *http.Transport
}

var _ snowserver.Rendezvous = (*broker)(nil)

// errBrokerStatus is for a reply that is none.
var errBrokerStatus = errors.New("the broker replied with an error")

// clientURL is where clients' requests to the broker at text go (spec section
// 2.3); "" stays "".
func clientURL(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	u, err := url.Parse(text)
	if err != nil {
		return "", fmt.Errorf("-rendezvous-broker: %w", err)
	}
	if u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil {
		return "", fmt.Errorf("-rendezvous-broker %q: want https://host/", u.Redacted())
	}
	return u.ResolveReference(&url.URL{Path: "client"}).String(), nil
}

func newBroker(text string) (*broker, error) {
	target, err := clientURL(text)
	if err != nil {
		return nil, err
	}
	return &broker{target: target, transport: &http.Transport{
		DialContext:            (&net.Dialer{Timeout: brokerDialTimeout}).DialContext,
		TLSHandshakeTimeout:    brokerDialTimeout,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true,
		MaxIdleConnsPerHost:    brokerIdle,
		IdleConnTimeout:        brokerIdleTime,
		MaxResponseHeaderBytes: brokerHeader,
	}}, nil
}

// Exchange implements snowserver.Rendezvous.
func (b *broker) Exchange(ctx context.Context, request []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.target, bytes.NewReader(request))
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "") // none
	resp, err := b.transport.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("ask the broker: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%w: %s", errBrokerStatus, resp.Status)
	}
	reply, err := io.ReadAll(io.LimitReader(resp.Body, messages.MaxBodyBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read the broker's reply: %w", err)
	}
	if len(reply) > messages.MaxBodyBytes {
		return nil, fmt.Errorf("%w: more than %d bytes", errBrokerStatus, messages.MaxBodyBytes)
	}
	return reply, nil
}

// close ends the kept connections. No Exchange is under way any more.
func (b *broker) close() { b.transport.CloseIdleConnections() }

// report logs once a day how many requests clients made through the tunnel.
func (s *service) report() {
	t := time.NewTicker(reportEvery)
	defer t.Stop()
	var before snowserver.InBandStats
	for {
		select {
		case <-t.C:
			now := s.listener.InBand()
			s.log.Info("in-band rendezvous in the past day",
				"clients", binned(now.Clients-before.Clients), "replied", binned(now.Replied-before.Replied),
				"failed", binned(now.Failed-before.Failed), "refused", binned(now.Refused-before.Refused),
				"canceled", binned(now.Canceled-before.Canceled))
			before = now
		case <-s.ctx.Done():
			return
		}
	}
}

// binned rounds n up to a multiple of countBin.
func binned(n uint64) uint64 { return (n + countBin - 1) / countBin * countBin }
