package snowproxy

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"flurry/common/messages"
)

const (
	// pollLimit bounds a whole poll: the broker holds it for 10 s, a deployed
	// proxy waits 30 s for the response header (spec section 3.1).
	pollLimit     = 40 * time.Second
	headerTimeout = 30 * time.Second

	// answerLimit bounds the delivery of an answer. The client waits 5 s in
	// all; whatever takes longer than this is of no use to anyone.
	answerLimit = 15 * time.Second

	// userAgent is that of a Firefox ESR. The name of Go's HTTP library tells
	// everybody who can look into the TLS what this is (spec section 13, 23a).
	userAgent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"
)

// broker speaks the proxy's side of the broker's protocol.
type broker struct {
	http      http.RoundTripper
	pollURL   string
	answerURL string
}

func newBroker(base string, rt http.RoundTripper) (*broker, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, fmt.Errorf("broker URL: %w", err)
	}
	at := func(path string) string { return u.ResolveReference(&url.URL{Path: path}).String() }
	return &broker{http: rt, pollURL: at("proxy"), answerURL: at("answer")}, nil
}

// newHTTPTransport returns a transport that belongs to one Proxy.
func newHTTPTransport(proxy func(*http.Request) (*url.URL, error)) *http.Transport {
	return &http.Transport{
		Proxy:                  proxy,
		DialContext:            (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: tcpKeepAlive}).DialContext,
		TLSHandshakeTimeout:    10 * time.Second,
		ResponseHeaderTimeout:  headerTimeout,
		MaxResponseHeaderBytes: 16 << 10,
		MaxIdleConns:           4, // one poll, and answers beside it
		IdleConnTimeout:        90 * time.Second,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // nothing that we exchange is worth a decompressor's memory
	}
}

// poll waits at the broker for one client. A response with another status than
// the two of a normal poll comes together with a *messages.StatusError.
func (b *broker) poll(ctx context.Context, req messages.ProxyPollRequest) (messages.ProxyPollResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, pollLimit)
	defer cancel()
	body, err := req.Encode()
	if err != nil {
		return messages.ProxyPollResponse{}, err
	}
	reply, err := post(ctx, b.http, b.pollURL, body)
	if err != nil {
		return messages.ProxyPollResponse{}, fmt.Errorf("poll broker: %w", err)
	}
	return messages.DecodeProxyPollResponse(reply)
}

// answer delivers the answer to the client of poll sid.
func (b *broker) answer(ctx context.Context, sid, answer string) error {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	body, err := messages.ProxyAnswerRequest{SessionID: sid, Answer: answer}.Encode()
	if err != nil {
		return err
	}
	reply, err := post(ctx, b.http, b.answerURL, body)
	if err != nil {
		return fmt.Errorf("answer broker: %w", err)
	}
	r, err := messages.DecodeProxyAnswerResponse(reply)
	if err != nil {
		return fmt.Errorf("answer broker: %w", err)
	}
	if r.Status != messages.StatusSuccess {
		return fmt.Errorf("answer broker: status %.100q", r.Status)
	}
	return nil
}

// post sends body and returns the response's, which has to come with status 200
// and be at most messages.MaxBodyBytes long. Redirects are not followed.
func post(ctx context.Context, rt http.RoundTripper, to string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", userAgent)
	req.Header.Set("Accept", "*/*")
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	reply, err := io.ReadAll(io.LimitReader(resp.Body, messages.MaxBodyBytes+1))
	switch {
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("HTTP status %d", resp.StatusCode)
	case err != nil:
		return nil, fmt.Errorf("read response: %w", err)
	case len(reply) > messages.MaxBodyBytes:
		return nil, fmt.Errorf("response is longer than %d bytes", messages.MaxBodyBytes)
	}
	return reply, nil
}

// newSessionID returns the name of one poll: 16 random bytes in base64 without
// padding (spec section 3.1).
func newSessionID() string {
	var b [16]byte
	rand.Read(b[:])
	return base64.RawStdEncoding.EncodeToString(b[:])
}
