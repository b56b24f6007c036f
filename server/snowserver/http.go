package snowserver

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"flurry/common/carrier"
	"flurry/common/carrier/ws"
	"flurry/common/carrier/wt"
	"flurry/common/safelog"
	"flurry/common/turbotunnel"
)

// An edge takes WebSockets on any path, and WebTransport if it is to, reads what
// opens a carrier, and hands the carrier to the Table.
type edge struct {
	// fixed after construction
	cfg     Config
	table   *Table
	server  *http.Server
	quic    *wt.Server // nil without WebTransport
	waiting *halfOpen
	ctx     context.Context // of everything the edge has under way
	stop    context.CancelFunc

	mu     sync.Mutex
	closed bool           // guarded by mu; nothing starts once it is set
	tasks  sync.WaitGroup // grows from zero under mu only

	with, without atomic.Int64 // carriers since the last report, with and without an address
}

// connKey is the key of a request's net.Conn in its context.
type connKey struct{}

func newEdge(cfg Config, table *Table) *edge {
	e := &edge{cfg: cfg, table: table, waiting: newHalfOpen(cfg.MaxHalfOpen)}
	e.ctx, e.stop = context.WithCancel(context.Background())
	var protocols http.Protocols
	protocols.SetHTTP1(true) // WebSocket over HTTP/2 is not served
	e.server = &http.Server{
		Handler:           e,
		TLSConfig:         cfg.TLSConfig,
		Protocols:         &protocols,
		ReadHeaderTimeout: cfg.HeaderTimeout, // of the TLS handshake too
		WriteTimeout:      cfg.HeaderTimeout, // of refusals; a carrier has none
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          safelog.ErrorLog(cfg.Logger),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, c)
		},
		ConnState: e.connState,
	}
	e.server.SetKeepAlivesEnabled(false) // one request for each connection
	return e
}

// connState keeps count of connections that are not yet carriers.
func (e *edge) connState(c net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		e.waiting.Add(c)
	case http.StateClosed:
		e.waiting.Remove(c)
	}
}

// serve takes connections from ln until close. It returns nil after close.
func (e *edge) serve(ln net.Listener) error {
	var err error
	if e.cfg.TLSConfig != nil {
		err = e.server.ServeTLS(ln, "", "")
	} else {
		err = e.server.Serve(ln)
	}
	if err == http.ErrServerClosed {
		return nil
	}
	return fmt.Errorf("serve HTTP: %w", err)
}

// begin makes close wait for one more task, which calls tasks.Done at its end,
// or says that it is too late to begin.
func (e *edge) begin() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.closed {
		e.tasks.Add(1)
	}
	return !e.closed
}

// ServeHTTP upgrades a request and opens the carrier. The handler's goroutine,
// with all that HTTP keeps on it, ends as soon as the carrier is complete.
func (e *edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		http.Error(w, http.StatusText(http.StatusBadRequest), http.StatusBadRequest)
		return
	}
	if !e.begin() {
		return
	}
	defer e.tasks.Done()
	raw, _ := r.Context().Value(connKey{}).(net.Conn)
	defer e.waiting.Remove(raw)
	c, err := ws.Accept(w, r)
	if err != nil {
		return // it has answered
	}
	e.open(c, r.URL)
}

// open reads the prelude of a carrier that was asked for at u, and hands it to the
// Table. It returns when the carrier is complete, or turned out not to be one.
func (e *edge) open(c carrier.Conn, u *url.URL) {
	client := parseClientIP(u.Query().Get("client_ip"))
	if client.IsValid() {
		e.with.Add(1)
	} else {
		e.without.Add(1)
	}
	id, path, err := e.prelude(c)
	if err != nil {
		// An end before the prelude is an unused carrier, a wrong magic
		// somebody else's protocol: neither is worth a line for the operator.
		e.cfg.Logger.Debug("no carrier", "error", err)
		c.Close()
		return
	}
	e.tasks.Go(func() { // counts on the caller's own task
		if err := e.table.Attach(e.ctx, id, path, client); err != nil {
			e.cfg.Logger.Debug("carrier ended", "error", err)
		}
	})
}

// prelude reads what opens a carrier, within the time for it.
func (e *edge) prelude(c carrier.Conn) (turbotunnel.ClientID, carrier.Conn, error) {
	ctx, cancel := context.WithTimeout(e.ctx, e.cfg.PreludeTimeout)
	defer cancel()
	return turbotunnel.Accept(ctx, c)
}

// report logs once a day how many carriers came with an address of the client.
func (e *edge) report() {
	t := time.NewTicker(reportEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			with, without := e.with.Swap(0), e.without.Swap(0)
			e.cfg.Logger.Info(fmt.Sprintf("in the past %.0f s, %d/%d connections had client_ip",
				reportEvery.Seconds(), with, with+without))
		case <-e.ctx.Done():
			return
		}
	}
}

// refuse stops taking connections; carriers stay.
func (e *edge) refuse() {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.server.Close()
	if e.quic != nil {
		e.quic.Refuse()
	}
}

// close ends carriers too, and returns when their goroutines have ended.
func (e *edge) close() {
	e.refuse()
	e.stop()
	e.tasks.Wait()
	if e.quic != nil {
		e.quic.Close()
	}
}
