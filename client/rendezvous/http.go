package rendezvous

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"flurry/common/covert"
)

const (
	// defaultTimeout bounds one Exchange with all its fronts. A broker waits 5 s
	// for an answer, before version 2.11 10 s (wire specification, section 2.3).
	defaultTimeout = 15 * time.Second
	// defaultDialTimeout bounds name lookup, TCP and TLS with one front.
	defaultDialTimeout = 5 * time.Second
	// answerShare is how much of an Exchange one front may take while others
	// remain: a broker's longest wait within the default Timeout.
	answerShare = 2.0 / 3
	// penalty is how long a front that failed stands behind the others.
	penalty = 5 * time.Minute
)

// ErrNoAnswer is in the error of an Exchange that got a reply with a status
// other than 200. Its text is the deployed client's.
//
//lint:ignore ST1005 the text is fixed by the wire specification
var ErrNoAnswer = errors.New("Unexpected error, no answer.")

// HTTPConfig configures an HTTP rendezvous.
type HTTPConfig struct {
	// BrokerURL is the broker's http or https URL. Requests go to "client"
	// relative to it.
	BrokerURL string
	// Fronts are hosts, with or without a port, that take the place of the
	// broker's in the connection. Each Exchange tries them in random order until
	// one works. Empty means that the broker is reached directly.
	Fronts []string
	// Connections are shared with other rendezvous, whose owner closes them; nil
	// means that there are none to share. The five fields that follow belong to
	// connections of the rendezvous' own.
	Connections *covert.Transport
	// Hello names the browser that is imitated, see covert.HelloNames; empty means
	// Chromium.
	Hello string
	// NoSNI leaves the server name out of the TLS hello.
	NoSNI bool
	// RootCAs are the trusted roots; nil means covert.Roots().
	RootCAs *x509.CertPool
	// DialContext makes TCP connections; nil means a plain net.Dialer.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	// Timeout bounds one Exchange; 0 means 15 s.
	Timeout time.Duration
	// DialTimeout bounds connection and TLS handshake with one front; 0 means 5 s.
	DialTimeout time.Duration
	// Logger hears of fronts that are passed over; nil means silent.
	Logger *slog.Logger
}

// An HTTP is the HTTP rendezvous, direct or domain-fronted. It keeps one
// connection per front for the next Exchange. Its owner calls Close.
type HTTP struct {
	// fixed after construction
	target    *url.URL // the broker's, with the path of clients
	fronts    []string
	timeout   time.Duration
	logger    *slog.Logger
	transport *covert.Transport
	shared    bool // the transport is not ours

	mu     sync.Mutex
	failed map[string]time.Time // when a front last failed
	next   string               // the front that Prepare has chosen for the next Exchange, or ""
}

// NewHTTP checks c and returns the rendezvous.
func NewHTTP(c HTTPConfig) (*HTTP, error) {
	target, err := resolve(c.BrokerURL)
	if err != nil {
		return nil, err
	}
	for _, front := range c.Fronts {
		if !validFront(front) {
			return nil, fmt.Errorf("front %q is not a host or host:port", front)
		}
	}
	c.Timeout = cmp.Or(c.Timeout, defaultTimeout)
	transport := c.Connections
	if transport == nil {
		transport, err = covert.NewTransport(covert.Options{
			Hello:       c.Hello,
			NoSNI:       c.NoSNI,
			RootCAs:     c.RootCAs,
			DialContext: c.DialContext,
			DialTimeout: cmp.Or(c.DialTimeout, defaultDialTimeout),
			Timeout:     c.Timeout,
		})
		if err != nil {
			return nil, err
		}
	}
	h := &HTTP{
		target:    target,
		fronts:    slices.Clone(c.Fronts),
		timeout:   c.Timeout,
		logger:    c.Logger,
		transport: transport,
		shared:    c.Connections != nil,
		failed:    make(map[string]time.Time),
	}
	if h.logger == nil {
		h.logger = slog.New(slog.DiscardHandler)
	}
	return h, nil
}

// resolve returns where clients send their requests to the broker at text.
func resolve(text string) (*url.URL, error) {
	base, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("broker URL: %w", err)
	}
	if (base.Scheme != "http" && base.Scheme != "https") || base.Hostname() == "" {
		return nil, fmt.Errorf("broker URL %q is not an http or https URL", base.Redacted())
	}
	target := base.ResolveReference(&url.URL{Path: "client"})
	target.User = nil
	return target, nil
}

// validFront reports whether s is a host, a name or an address, with or without
// a port.
func validFront(s string) bool {
	host := s
	if h, port, err := net.SplitHostPort(s); err == nil {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return false
		}
		host = h
	} else if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		host = s[1 : len(s)-1]
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return host != "" && !strings.ContainsFunc(host, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' || r == '_')
	})
}

// Prepare begins to open the connection that the next Exchange will use, its
// front drawn at random as ever, and returns at once. A failure shows in the
// Exchange.
func (h *HTTP) Prepare() {
	to := *h.target
	if len(h.fronts) > 0 {
		order := h.order() // keeps an earlier choice, which it puts first
		h.mu.Lock()
		h.next = order[0]
		h.mu.Unlock()
		to.Host = order[0]
	}
	h.transport.Connect(&to)
}

// Exchange posts request to the broker and returns the reply's body. With
// fronts, one that cannot be reached, does not answer or answers with another
// status than 200 is passed over for the next while time is left; the error
// then names each front's reason.
func (h *HTTP) Exchange(ctx context.Context, request []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, h.timeout,
		fmt.Errorf("no answer within %v: %w", h.timeout, context.DeadlineExceeded))
	defer cancel()
	if len(h.fronts) == 0 {
		reply, err := h.post(ctx, "", request)
		if err != nil {
			return nil, fmt.Errorf("broker %s: %w", h.target.Host, h.explain("broker", err))
		}
		return reply, nil
	}
	var reasons []error
	order := h.order()
	for i, front := range order {
		reply, err := h.try(ctx, front, request, i+1 < len(order))
		if err == nil {
			h.report(front, false)
			return reply, nil
		}
		reasons = append(reasons, fmt.Errorf("front %s: %w", front, h.explain("front", err)))
		if ctx.Err() != nil {
			for _, left := range order[i+1:] {
				reasons = append(reasons, fmt.Errorf("front %s: no time was left", left))
			}
			break
		}
		h.report(front, true)
		if i+1 < len(order) {
			h.logger.Info("front passed over for the next", "front", front, "reason", err)
		}
	}
	return nil, &FrontsError{Reasons: reasons}
}

// A FrontsError says why no front worked, one reason a front in the order they
// were tried.
type FrontsError struct{ Reasons []error }

func (e *FrontsError) Error() string {
	texts := make([]string, len(e.Reasons))
	for i, r := range e.Reasons {
		texts[i] = r.Error()
	}
	return strings.Join(texts, "; ")
}

// Unwrap returns the reasons.
func (e *FrontsError) Unwrap() []error { return e.Reasons }

// try posts through one front. While others remain it may not use up the time.
func (h *HTTP) try(ctx context.Context, front string, request []byte, others bool) ([]byte, error) {
	if others {
		deadline, _ := ctx.Deadline() // Exchange set one
		share := time.Duration(float64(time.Until(deadline)) * answerShare)
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, share,
			fmt.Errorf("no answer within %v: %w", share.Round(time.Millisecond), context.DeadlineExceeded))
		defer cancel()
	}
	return h.post(ctx, front, request)
}

// order returns the fronts shuffled, with those that failed lately at the end,
// the longest ago first, and with the one that Prepare has chosen, which it uses
// up, at the beginning.
func (h *HTTP) order() []string {
	order := slices.Clone(h.fronts)
	rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	recent := func(front string) time.Time {
		if at := h.failed[front]; now.Sub(at) < penalty {
			return at
		}
		return time.Time{}
	}
	if h.next != "" && recent(h.next).IsZero() {
		at := slices.Index(order, h.next)
		order[0], order[at] = order[at], order[0]
	}
	h.next = ""
	slices.SortStableFunc(order, func(a, b string) int { return recent(a).Compare(recent(b)) })
	return order
}

// report remembers whether a front failed.
func (h *HTTP) report(front string, failed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if failed {
		h.failed[front] = time.Now()
	} else {
		delete(h.failed, front)
	}
}

// post sends one request, to the front if there is one.
func (h *HTTP) post(ctx context.Context, front string, request []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.target.String(), bytes.NewReader(request))
	if err != nil {
		return nil, err
	}
	if front != "" {
		// The connection, the name in TLS and the certificate are the front's;
		// req.Host, set from the URL above, stays the broker's.
		req.URL.Host = front
	}
	resp, err := h.transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%w (HTTP status %s)", ErrNoAnswer, resp.Status)
	}
	reply, err := io.ReadAll(io.LimitReader(resp.Body, MaxReplyBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	if len(reply) > MaxReplyBytes {
		return nil, fmt.Errorf("the answer is longer than %d bytes", MaxReplyBytes)
	}
	return reply, nil
}

// explain says of a refused certificate whose it is: "certificate of front X is
// not valid for X: ...".
func (h *HTTP) explain(role string, err error) error {
	var refused *covert.CertificateError
	if !errors.As(err, &refused) {
		return err
	}
	return fmt.Errorf("certificate of %s %s is not valid for %s: %w", role, refused.Host, refused.Host, refused.Err)
}

// Close ends the kept connections and any Exchange under way. With shared
// connections it does nothing: these serve others, and an Exchange ends with its
// context.
func (h *HTTP) Close() error {
	if h.shared {
		return nil
	}
	return h.transport.Close()
}

// NewConnections makes connections for HTTPConfig.Connections, with the limits
// that a rendezvous has by default. Their owner calls Close.
func NewConnections(hello string, noSNI bool) (*covert.Transport, error) {
	return covert.NewTransport(covert.Options{Hello: hello, NoSNI: noSNI, DialTimeout: defaultDialTimeout, Timeout: defaultTimeout})
}
