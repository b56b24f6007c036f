package snowbroker

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"flurry/common/messages"
	"flurry/common/sealed"
)

// Routes of the broker (wire specification, sections 2.3 and 3).
const (
	clientPath     = "/client"
	proxyPath      = "/proxy"
	answerPath     = "/answer"
	debugPath      = "/debug"
	metricsPath    = "/metrics"
	prometheusPath = "/prometheus"
	robotsPath     = "/robots.txt"
)

const (
	contentType = "Content-Type"
	plainText   = "text/plain; charset=utf-8"
	robotsText  = "User-agent: *\nDisallow: /\n"

	// legacyNATHeader carries the NAT word of a client of the form before
	// versions (wire specification, section 2.4).
	legacyNATHeader = "Snowflake-NAT-Type"
)

// metricsWriteTimeout bounds the sending of the metrics log, which is far
// larger than the replies the server's own limit is made for.
const metricsWriteTimeout = 2 * time.Minute

// maxScrapes bounds the readers of /prometheus at once.
const maxScrapes = 4

// routes builds the broker's handler.
func (b *Broker) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc(clientPath, crossOrigin(b.serveClient))
	mux.HandleFunc(proxyPath, crossOrigin(b.serveProxy))
	mux.HandleFunc(answerPath, crossOrigin(b.serveAnswer))
	mux.HandleFunc(debugPath, crossOrigin(b.serveDebug))
	mux.HandleFunc(metricsPath, crossOrigin(b.serveMetrics))
	mux.HandleFunc(robotsPath, serveRobots)
	mux.Handle(prometheusPath, promhttp.HandlerFor(b.registry,
		promhttp.HandlerOpts{MaxRequestsInFlight: maxScrapes}))
	return mux
}

// crossOrigin lets proxies in browsers call h, and answers their preflights.
func crossOrigin(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Access-Control-Allow-Origin", "*")
		header.Set("Access-Control-Allow-Headers", "Origin, X-Session-ID")
		if r.Method == http.MethodOptions {
			w.WriteHeader(http.StatusOK)
			return
		}
		h(w, r)
	}
}

// serveClient takes a client's offer and replies with a proxy's answer.
func (b *Broker) serveClient(w http.ResponseWriter, r *http.Request) {
	body, err := b.bodies.read(w, r)
	defer body.done()
	if err != nil {
		refuseBody(w, err)
		return
	}
	if messages.IsLegacyClientPollRequest(body.Bytes()) {
		req, err := messages.DecodeLegacyClientPollRequest(body.Bytes(), r.Header.Get(legacyNATHeader))
		body.free()
		b.serveLegacyClient(w, r, req, err)
		return
	}
	if sealed.Is(body.Bytes()) {
		b.serveSealed(w, r, &body)
		return
	}
	req, err := messages.DecodeClientPollRequest(body.Bytes())
	body.free()
	b.servePoll(w, r, req, err, nil)
}

// serveSealed takes an offer that comes by way of a bridge (doc/wire.md,
// appendix D).
func (b *Broker) serveSealed(w http.ResponseWriter, r *http.Request, body *requestBody) {
	text, key, err := b.seal.Open(body.Bytes())
	body.free()
	if err != nil {
		b.replyClient(w, messages.ClientPollResponse{Error: messages.ErrTextSealed}, nil)
		return
	}
	req, err := messages.DecodeClientPollRequest(text)
	b.servePoll(w, r, req, err, key)
}

// servePoll replies to a client whose request was decoded to req or failed with
// err. With a key the request came sealed, and so goes the reply.
func (b *Broker) servePoll(w http.ResponseWriter, r *http.Request, req messages.ClientPollRequest, err error, key *sealed.ReplyKey) {
	if err != nil {
		b.replyClient(w, messages.ClientPollResponse{Error: err.Error()}, key)
		return
	}
	var resp messages.ClientPollResponse
	answer, err := b.introduce(r, req, key != nil)
	switch {
	case err == nil:
		resp.Answer, resp.Key = answer.SDP, b.seal.Public()
	case errors.Is(err, errUnknownBridge):
		resp.Error = messages.ErrTextUnknownBridge
	case errors.Is(err, ErrNoProxies):
		resp.Error = messages.ErrTextNoProxies
	case errors.Is(err, ErrTimedOut):
		resp.Error = messages.ErrTextTimedOut
	default:
		refuse(w, err)
		return
	}
	b.replyClient(w, resp, key)
}

// serveLegacyClient replies to a client of the form before versions, whose
// request was decoded to req or failed with err.
func (b *Broker) serveLegacyClient(w http.ResponseWriter, r *http.Request, req messages.ClientPollRequest, err error) {
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	answer, err := b.introduce(r, req, false)
	switch {
	case err == nil:
		reply(w, []byte(answer.SDP))
	case errors.Is(err, errUnknownBridge):
		w.WriteHeader(http.StatusBadRequest)
	case errors.Is(err, ErrNoProxies):
		w.WriteHeader(http.StatusServiceUnavailable)
	case errors.Is(err, ErrTimedOut):
		w.WriteHeader(http.StatusGatewayTimeout)
	default:
		refuse(w, err)
	}
}

// errUnknownBridge refuses a client whose bridge is not in the list.
var errUnknownBridge = errors.New("bridge is not in the list")

// introduce finds a proxy for a client, waits for its answer and counts how it
// ended. A request that was sealed came from a bridge, whose country is not the
// client's.
func (b *Broker) introduce(r *http.Request, req messages.ClientPollRequest, sealed bool) (Answer, error) {
	if _, ok := b.bridges.Lookup(req.Fingerprint); !ok {
		return Answer{}, errUnknownBridge
	}
	answer, err := b.matcher.Offer(r.Context(), Offer{SDP: req.Offer, NAT: req.NAT, Fingerprint: req.Fingerprint})
	var o outcome
	switch {
	case err == nil:
		o = outcomeMatched
	case errors.Is(err, ErrNoProxies):
		o = outcomeDenied
	case errors.Is(err, ErrTimedOut):
		o = outcomeTimeout
	default:
		return answer, err
	}
	country := unknownCountry
	if b.country != nil && !sealed {
		country = b.countryOf(r)
	}
	b.record.client(o, req.NAT, country, answer.Type)
	return answer, err
}

// countryOf looks up where a request comes from. b.country is not nil.
func (b *Broker) countryOf(r *http.Request) string {
	if a := peerAddr(r); a.IsValid() {
		if cc := b.country(a); cc != "" {
			return cc
		}
	}
	return unknownCountry
}

// replyClient replies, sealed if there is a key for it.
func (b *Broker) replyClient(w http.ResponseWriter, resp messages.ClientPollResponse, key *sealed.ReplyKey) {
	text, err := resp.Encode()
	if err == nil && key != nil {
		text, err = key.Seal(text)
	}
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	reply(w, text)
}

// serveProxy holds a proxy's poll until it has a client for it.
func (b *Broker) serveProxy(w http.ResponseWriter, r *http.Request) {
	body, err := b.bodies.read(w, r)
	defer body.done()
	if err != nil {
		refuseBody(w, err)
		return
	}
	req, err := messages.DecodeProxyPollRequest(body.Bytes())
	body.free()
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	kind := Kind{Type: req.Type, NAT: req.NAT}
	accepted := acceptsRelays(b.relays, req.RelayPattern)
	b.record.poll(kind, req.RelayPattern != nil, accepted)
	if !accepted {
		b.replyProxy(w, messages.ProxyPollResponse{
			Status: messages.StatusIncorrectRelayPattern, NextPoll: rejectedPollInterval})
		return
	}
	b.countProxyAddr(r, kind)

	offer, err := b.matcher.Poll(r.Context(), Poll{
		ID: ProxyID(req.SessionID), Type: req.Type, NAT: req.NAT, Clients: req.Clients})
	next := b.intervals.Load().of(req.NAT)
	switch {
	case err == nil:
		b.record.pollEnded(kind, true)
		b.replyMatch(w, offer, next)
	case errors.Is(err, ErrNoClient):
		b.record.pollEnded(kind, false)
		b.replyProxy(w, messages.ProxyPollResponse{Status: messages.StatusNoMatch, NextPoll: next})
	case errors.Is(err, ErrDuplicateID):
		// Whoever came first keeps the id; the wire has no word for this.
		b.replyProxy(w, messages.ProxyPollResponse{Status: messages.StatusNoMatch, NextPoll: next})
	default:
		refuse(w, err)
	}
}

// countProxyAddr counts the address of a poll, if addresses are looked at.
func (b *Broker) countProxyAddr(r *http.Request, k Kind) {
	if b.country == nil {
		return
	}
	a := peerAddr(r)
	if !a.IsValid() {
		return
	}
	country := b.countryOf(r)
	if b.record.stats.proxyAddr(a, k, country) {
		b.record.metrics.proxies.WithLabelValues(string(k.Type), string(k.NAT), country).Inc()
	}
}

func (b *Broker) replyMatch(w http.ResponseWriter, offer Offer, next time.Duration) {
	bridge, ok := b.bridges.Lookup(offer.Fingerprint)
	if !ok { // a Matcher across processes may bring offers for other lists
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	b.replyProxy(w, messages.ProxyPollResponse{
		Status: messages.StatusClientMatch, Offer: offer.SDP, NAT: offer.NAT, NextPoll: next, RelayURL: bridge.URL})
}

func (b *Broker) replyProxy(w http.ResponseWriter, resp messages.ProxyPollResponse) {
	text, err := resp.Encode()
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	reply(w, text)
}

// candidateMark must occur in the body of an answer (wire specification,
// section 3.2): one without candidates cannot lead to a connection.
const candidateMark = "a=candidate"

// serveAnswer passes a proxy's answer on to its client.
func (b *Broker) serveAnswer(w http.ResponseWriter, r *http.Request) {
	body, err := b.bodies.read(w, r)
	defer body.done()
	if err != nil {
		refuseBody(w, err)
		return
	}
	hasCandidate := bytes.Contains(body.Bytes(), []byte(candidateMark))
	req, err := messages.DecodeProxyAnswerRequest(body.Bytes())
	body.free()
	if err != nil || !hasCandidate {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	resp := messages.ProxyAnswerResponse{Status: messages.StatusSuccess}
	err = b.matcher.Answer(r.Context(), ProxyID(req.SessionID), Answer{SDP: req.Answer})
	switch {
	case errors.Is(err, ErrClientGone):
		resp.Status = messages.StatusClientGone
	case err != nil:
		refuse(w, err)
		return
	}
	text, err := resp.Encode()
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	reply(w, text)
}

func (b *Broker) serveDebug(w http.ResponseWriter, _ *http.Request) {
	reply(w, []byte(debugText(b.matcher.Stats())))
}

// serveMetrics sends the metrics log.
func (b *Broker) serveMetrics(w http.ResponseWriter, r *http.Request) {
	if b.metricsPath == "" {
		http.NotFound(w, r)
		return
	}
	f, err := os.Open(b.metricsPath)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		http.NotFound(w, r)
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(metricsWriteTimeout))
	w.Header().Set(contentType, plainText)
	http.ServeContent(w, r, "", info.ModTime(), f)
}

func serveRobots(w http.ResponseWriter, _ *http.Request) {
	reply(w, []byte(robotsText))
}

// reply sends text with status 200. A peer that cannot take it is gone.
func reply(w http.ResponseWriter, text []byte) {
	w.Header().Set(contentType, plainText)
	_, _ = w.Write(text)
}

// refuseBody replies to a request whose body could not be read.
func refuseBody(w http.ResponseWriter, err error) {
	if errors.Is(err, errBusy) {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusBadRequest)
}

// refuse replies to a request that the Matcher did not serve. One whose peer
// went away gets a reply that nobody reads.
func refuse(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, ErrFull), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		w.WriteHeader(http.StatusServiceUnavailable)
	default:
		w.WriteHeader(http.StatusInternalServerError)
	}
}
