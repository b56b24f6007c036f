package browser

import (
	"context"
	"embed"
	"encoding/json"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"
)

//go:embed testdata
var testdata embed.FS

// A way is what a volunteer has copied in one direction.
type way struct {
	Count, Bytes, Longest int
}

// A report is one thing that the page tells, see volunteer.js.
type report struct {
	What    string // "start", "answer", "channel", "end" or "error"
	Broker  string
	SDP     string
	Label   string
	Ordered *bool
	Up      way
	Down    way
	Text    string
}

const (
	// startLimit bounds the start of a browser with a new profile: some seconds, half a minute on a machine that does much else.
	startLimit = time.Minute
	// limit bounds what a test does with it: a few seconds, ten times that on a machine that gives the browser next to nothing.
	limit = 3 * time.Minute
)

// A page is the web site that the volunteer comes from.
type page struct {
	srv *httptest.Server

	started chan struct{}   // holds something when a browser shows the page
	ctx     context.Context // ends when the page tells of an error
	fail    context.CancelFunc

	mu      sync.Mutex
	reports []report
}

// newPage serves the page, and beside it what mux has, until the test ends.
func newPage(t *testing.T, mux *http.ServeMux) *page {
	t.Helper()
	p := &page{started: make(chan struct{}, 1)}
	p.ctx, p.fail = context.WithCancel(t.Context())
	files, err := fs.Sub(testdata, "testdata")
	if err != nil {
		t.Fatal(err)
	}
	mux.Handle("GET /", http.FileServerFS(files))
	mux.HandleFunc("POST /report", func(w http.ResponseWriter, r *http.Request) {
		var told report
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&told); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		p.add(told)
	})
	p.srv = httptest.NewServer(mux)
	t.Cleanup(func() {
		p.srv.CloseClientConnections()
		p.srv.Close()
		if t.Failed() {
			for _, r := range p.all() {
				t.Logf("the page told: %+v", r)
			}
		}
	})
	return p
}

// add notes what the page tells.
func (p *page) add(told report) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reports = append(p.reports, told)
	switch told.What {
	case "start":
		select {
		case p.started <- struct{}{}:
		default:
		}
	case "error":
		p.fail()
	}
}

// open shows the page in a browser until the test ends. The context is for what the test does with it: it ends at the
// limit, and as soon as the page tells of an error.
func (p *page) open(t *testing.T, b browser, address string) context.Context {
	t.Helper()
	b.open(t, address)
	began := time.Now()
	select {
	case <-p.started:
	case <-time.After(startLimit):
		t.Fatalf("%s shows nothing after %v", b.Name, startLimit)
	}
	t.Logf("%s has started after %v", b.Name, time.Since(began).Round(time.Millisecond))
	ctx, cancel := context.WithTimeout(p.ctx, limit)
	t.Cleanup(cancel)
	return ctx
}

// address is that of the page, for a volunteer of one broker. It may have no STUN server.
func (p *page) address(broker string, stun ...string) string {
	return p.srv.URL + "/volunteer.html?" + url.Values{"broker": {broker}, "stun": stun, "pattern": {"127.0.0.1"}}.Encode()
}

func (p *page) all() []report {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]report(nil), p.reports...)
}

// told returns all reports of one sort.
func (p *page) told(what string) []report {
	var found []report
	for _, r := range p.all() {
		if r.What == what {
			found = append(found, r)
		}
	}
	return found
}
