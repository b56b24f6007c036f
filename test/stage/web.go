package stage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// maxFile bounds the files of the web site, so that a slip in a test is an error and not a day of waiting.
const maxFile = 10 << 30

// A Web is the web site behind the bridge. It serves
//
//	GET  /file?size=BYTES&seed=NUMBER   that many pseudo-random bytes, the same for the same seed
//	PUT  /file                          the answer is the SHA-256 of the body in hexadecimal
//	GET  /echo                          the connection gives back what it is sent from then on, after the response header
//	GET  /flow?seed=NUMBER              the connection is a Flow from then on
type Web struct {
	ln     net.Listener
	srv    *http.Server
	served chan struct{}
	taken  sync.WaitGroup // connections that are no longer HTTP

	open  atomic.Int64 // connections now
	total atomic.Int64 // connections ever
	sent  atomic.Int64 // bytes of files
}

func startWeb(ctx context.Context, on Host) (*Web, error) {
	var ln net.Listener
	err := on.Do(func() (err error) {
		var lc net.ListenConfig
		ln, err = lc.Listen(ctx, "tcp4", "127.0.0.1:0")
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("start the web site: %w", err)
	}
	w := &Web{ln: ln, served: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /file", w.getFile)
	mux.HandleFunc("PUT /file", w.putFile)
	mux.HandleFunc("GET /echo", w.echo)
	mux.HandleFunc("GET /flow", w.flow)
	w.srv = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Minute, ConnState: w.count}
	go func() {
		defer close(w.served)
		w.srv.Serve(ln) //nolint:errcheck // It ends with ErrServerClosed.
	}()
	return w, nil
}

// Addr is where the web site listens, "127.0.0.1:PORT".
func (w *Web) Addr() string { return w.ln.Addr().String() }

// Open is the number of connections now: one for each stream the bridge has open.
func (w *Web) Open() int { return int(w.open.Load()) }

// Total is the number of connections so far.
func (w *Web) Total() int { return int(w.total.Load()) }

// Sent is the number of bytes of files that the site has handed to its connections so far.
func (w *Web) Sent() int64 { return w.sent.Load() }

func (w *Web) count(_ net.Conn, s http.ConnState) {
	switch s {
	case http.StateNew:
		w.open.Add(1)
		w.total.Add(1)
	case http.StateClosed:
		w.open.Add(-1)
	case http.StateActive, http.StateIdle, http.StateHijacked: // An echo is counted out when it ends.
	}
}

func (w *Web) getFile(rw http.ResponseWriter, r *http.Request) {
	size, err := strconv.ParseInt(r.FormValue("size"), 10, 64)
	if err != nil || size < 0 || size > maxFile {
		http.Error(rw, "size: a number of bytes, please", http.StatusBadRequest)
		return
	}
	var seed uint64
	if v := r.FormValue("seed"); v != "" {
		if seed, err = strconv.ParseUint(v, 10, 64); err != nil {
			http.Error(rw, "seed: a whole number, please", http.StatusBadRequest)
			return
		}
	}
	rw.Header().Set("Content-Type", "application/octet-stream")
	rw.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	io.Copy(countingWriter{rw, &w.sent}, File(seed, size)) //nolint:errcheck // The reader has gone; it knows.
}

func (w *Web) putFile(rw http.ResponseWriter, r *http.Request) {
	h := sha256.New()
	if _, err := io.Copy(h, http.MaxBytesReader(rw, r.Body, maxFile)); err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	fmt.Fprintln(rw, hex.EncodeToString(h.Sum(nil)))
}

func (w *Web) echo(rw http.ResponseWriter, _ *http.Request) {
	w.takeOver(rw, func(c net.Conn, r io.Reader) {
		io.Copy(c, r) //nolint:errcheck // Either way it is over.
	})
}

func (w *Web) flow(rw http.ResponseWriter, r *http.Request) {
	seed, err := strconv.ParseUint(r.FormValue("seed"), 10, 64)
	if err != nil {
		http.Error(rw, "seed: a whole number, please", http.StatusBadRequest)
		return
	}
	w.takeOver(rw, func(c net.Conn, r io.Reader) { serveFlow(c, r, seed) })
}

// takeOver answers a request and gives the rest of its connection to serve, which reads from r. It ends with the
// connection, which the stage's bridge closes at the latest when the stage is closed.
func (w *Web) takeOver(rw http.ResponseWriter, serve func(c net.Conn, r io.Reader)) {
	c, buf, err := http.NewResponseController(rw).Hijack()
	if err != nil {
		http.Error(rw, err.Error(), http.StatusInternalServerError)
		return
	}
	w.taken.Add(1)
	defer w.taken.Done()
	defer w.open.Add(-1)
	defer c.Close()
	if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"); err == nil {
		serve(c, buf)
	}
}

// close ends the site, its connections, and waits for its goroutines. The bridge must be gone.
func (w *Web) close() error {
	err := w.srv.Close()
	<-w.served
	w.taken.Wait()
	if err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("close the web site: %w", err)
	}
	return nil
}

type countingWriter struct {
	io.Writer
	n *atomic.Int64
}

func (w countingWriter) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	w.n.Add(int64(n))
	return n, err
}

// File is the content of the web site's file of that seed and size in bytes.
func File(seed uint64, size int64) io.Reader {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	return io.LimitReader(rand.NewChaCha8(key), size)
}

// Checksum is the SHA-256 of the web site's file of that seed and size in bytes, in hexadecimal.
func Checksum(seed uint64, size int64) string {
	h := sha256.New()
	io.Copy(h, File(seed, size)) //nolint:errcheck // Neither a hash nor this reader fails.
	return hex.EncodeToString(h.Sum(nil))
}
