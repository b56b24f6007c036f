package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"flurry/common/carrier/rtc"
	"flurry/common/messages"
	"flurry/common/sdp"
)

// Times of the probe (wire specification, section 9.3).
const (
	gatherTimeout = 10 * time.Second // for our candidates, before the reply
	openTimeout   = 20 * time.Second // for the data channel
	closeTimeout  = 5 * time.Second  // after it opened, for the other side to close
)

// maxProbes bounds the probes under way. Each is a peer connection of some
// 500 KB for at most 35 s; a proxy probes when it starts and once a day.
const maxProbes = 500

// probePath is the only route.
const probePath = "/probe"

// stubSession stands where a proxy's answer has the id of its poll.
const stubSession = "stub-sid"

// A prober answers the offers of proxies that want to know whether a peer
// behind a difficult NAT can reach them. Close it when no more requests come.
type prober struct {
	endpoint *rtc.Endpoint
	log      *slog.Logger
	slots    chan struct{} // holds one element for each probe under way

	ctx    context.Context // the prober's lifetime
	cancel context.CancelFunc
	probes sync.WaitGroup // probes whose reply was sent
}

func newProber(endpoint *rtc.Endpoint, log *slog.Logger) *prober {
	ctx, cancel := context.WithCancel(context.Background())
	return &prober{
		endpoint: endpoint,
		log:      log,
		slots:    make(chan struct{}, maxProbes),
		ctx:      ctx,
		cancel:   cancel,
	}
}

// close ends the probes under way and waits for them.
func (p *prober) close() {
	p.cancel()
	p.probes.Wait()
}

func (p *prober) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc(probePath, p.serveProbe)
	return mux
}

// serveProbe replies to an offer with an answer and leaves the connection to
// follow.
func (p *prober) serveProbe(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	select {
	case p.slots <- struct{}{}:
	default:
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	pending, status := p.answer(w, r)
	if pending == nil {
		<-p.slots
		w.WriteHeader(status)
		return
	}
	p.probes.Go(func() {
		defer func() { <-p.slots }()
		p.follow(pending)
	})
	reply, err := messages.ProxyAnswerRequest{SessionID: stubSession, Answer: pending.Answer()}.Encode()
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	_, _ = w.Write(reply) // a peer that cannot take it is gone
}

// answer reads the offer and answers it, or returns the status that says why
// not.
func (p *prober) answer(w http.ResponseWriter, r *http.Request) (*rtc.Pending, int) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, messages.MaxBodyBytes))
	if err != nil {
		return nil, http.StatusBadRequest
	}
	req, err := messages.DecodeProxyPollResponse(body)
	if err != nil || req.Offer == "" {
		return nil, http.StatusBadRequest
	}
	if d, err := sdp.Parse(req.Offer); err != nil || d.Type != "offer" {
		return nil, http.StatusBadRequest
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(p.ctx, cancel)()
	pending, err := p.endpoint.Answer(ctx, req.Offer)
	switch {
	case err == nil:
		return pending, http.StatusOK
	case errors.Is(err, rtc.ErrBadDescription):
		return nil, http.StatusBadRequest
	case ctx.Err() == nil: // otherwise nobody waits for the answer any more
		p.log.Error("cannot answer an offer", "error", err)
	}
	return nil, http.StatusInternalServerError
}

// follow keeps our end of the connection up until the other side, which judges
// it, closes it.
func (p *prober) follow(pending *rtc.Pending) {
	conn, err := pending.Wait(p.ctx)
	if err != nil {
		return
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(p.ctx, closeTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	buf := make([]byte, conn.Traits().MaxMessage)
	for err == nil {
		_, err = conn.Recv(buf)
	}
}
