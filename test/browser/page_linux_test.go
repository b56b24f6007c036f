package browser

import (
	"embed"
	"encoding/json"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
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

// A page is the web site that the volunteer comes from.
type page struct {
	srv *httptest.Server

	mu      sync.Mutex
	reports []report
}

// newPage serves the page, and beside it what mux has, until the test ends.
func newPage(t *testing.T, mux *http.ServeMux) *page {
	t.Helper()
	p := &page{}
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
		p.mu.Lock()
		defer p.mu.Unlock()
		p.reports = append(p.reports, told)
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

// address is that of the page, for a volunteer of one broker.
func (p *page) address(broker, stun string) string {
	return p.srv.URL + "/volunteer.html?" + url.Values{"broker": {broker}, "stun": {stun}, "pattern": {"127.0.0.1"}}.Encode()
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
