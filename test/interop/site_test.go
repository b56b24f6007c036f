package interop

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"flurry/test/stage"
)

// fileOf reads the wanted file from the query: seed and size, as on the web site of a stage.
func fileOf(w http.ResponseWriter, r *http.Request) (file io.Reader, size int64, ok bool) {
	seed, err1 := strconv.ParseUint(r.FormValue("seed"), 10, 64)
	size, err2 := strconv.ParseInt(r.FormValue("size"), 10, 64)
	if err1 != nil || err2 != nil {
		http.Error(w, "seed and size, please", http.StatusBadRequest)
		return nil, 0, false
	}
	w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	return stage.File(seed, size), size, true
}

// serveFile sends a file.
func serveFile(w http.ResponseWriter, r *http.Request) {
	if file, _, ok := fileOf(w, r); ok {
		io.Copy(w, file) //nolint:errcheck // The reader checks what it gets.
	}
}

// A slowSite is a web site that sends all but the last bytes of a file, and those when it is told to.
type slowSite struct {
	addr   string
	finish chan struct{}
}

// keptBack is how much of a file the site keeps back.
const keptBack = 1000

func startSlowSite(t *testing.T) *slowSite {
	s := &slowSite{finish: make(chan struct{}, 1)}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		file, size, ok := fileOf(w, r)
		if !ok {
			return
		}
		io.CopyN(w, file, size-keptBack)      //nolint:errcheck // The reader checks what it gets.
		http.NewResponseController(w).Flush() //nolint:errcheck // The same.
		select {
		case <-s.finish:
			io.Copy(w, file) //nolint:errcheck // The same.
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(srv.Close)
	s.addr = srv.Listener.Addr().String()
	return s
}
