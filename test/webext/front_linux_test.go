package webext

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
)

// A brokerFront stands before a broker and counts what volunteers ask. When the broker is away, it does what the system would
// for it: the connection ends.
type brokerFront struct {
	srv   *http.Server
	ln    net.Listener
	polls atomic.Int64
}

func newBrokerFront(t testing.TB) *brokerFront {
	t.Helper()
	f := &brokerFront{srv: &http.Server{}}
	f.ln = listen(t)
	return f
}

func (f *brokerFront) url() string { return "http://" + f.ln.Addr().String() + "/" }

// serve begins with a broker.
func (f *brokerFront) serve(t testing.TB, broker string) {
	t.Helper()
	to, err := url.Parse(broker)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(to) },
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		Transport:    &http.Transport{DisableKeepAlives: true},
	}
	f.srv.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && r.URL.Path == "/proxy" {
			f.polls.Add(1)
		}
		proxy.ServeHTTP(w, r)
	})
	serve(t, f.srv, f.ln)
}

// serve runs a server until the test ends.
func serve(t testing.TB, srv *http.Server, ln net.Listener) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	}()
	t.Cleanup(func() {
		srv.Close() //nolint:errcheck // Of the listener, which nobody needs any more.
		<-done
	})
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// A relayFront stands before a relay and counts connections and their bytes, those of WebSocket and TCP's handshake with them.
type relayFront struct {
	ln       net.Listener
	to       string
	accepted atomic.Int64
	open     atomic.Int64 // connections now
	up, down atomic.Int64 // bytes to and from the relay
	group    sync.WaitGroup
}

func newRelayFront(t testing.TB) *relayFront {
	t.Helper()
	return &relayFront{ln: listen(t)}
}

// serve begins with a relay at host:port, until the test ends. What runs over it must have ended by then.
func (f *relayFront) serve(ctx context.Context, t testing.TB, to string) {
	t.Helper()
	f.to = to
	ctx, cancel := context.WithCancel(ctx)
	f.group.Go(func() {
		for {
			c, err := f.ln.Accept()
			if err != nil {
				return
			}
			f.accepted.Add(1)
			f.group.Go(func() { f.hand(ctx, c) })
		}
	})
	t.Cleanup(func() {
		cancel()
		f.ln.Close()
		f.group.Wait()
	})
}

// hand joins a connection with one to the relay until either ends.
func (f *relayFront) hand(ctx context.Context, c net.Conn) {
	f.open.Add(1)
	defer f.open.Add(-1)
	defer c.Close()
	var d net.Dialer
	r, err := d.DialContext(ctx, "tcp4", f.to)
	if err != nil {
		return
	}
	defer r.Close()
	stop := context.AfterFunc(ctx, func() { c.Close(); r.Close() })
	defer stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.Copy(counter{r, &f.up}, c) //nolint:errcheck // Either way it is over.
		r.Close()
		c.Close()
	}()
	io.Copy(counter{c, &f.down}, r) //nolint:errcheck // Either way it is over.
	r.Close()
	c.Close()
	<-done
}

type counter struct {
	io.Writer
	n *atomic.Int64
}

func (c counter) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	c.n.Add(int64(n))
	return n, err
}
