package coverttest

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// A Server is an HTTPS server on loopback that records what its clients show.
type Server struct {
	http *httptest.Server

	mu       sync.Mutex
	hellos   [][]byte
	names    []string
	requests []*http.Request
}

// NewServer starts a server with the given certificate, ended with the test. It
// speaks HTTP/2 if http2 is true, else HTTP/1.1 only. A nil handler replies with
// the request's body.
func NewServer(t testing.TB, cert tls.Certificate, http2 bool, handler http.Handler) *Server {
	t.Helper()
	if handler == nil {
		handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			// HTTP/1.1 servers take no more of a request once they reply.
			if body, err := io.ReadAll(r.Body); err == nil {
				_, _ = w.Write(body)
			}
		})
	}
	s := new(Server)
	s.http = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests = append(s.requests, r.Clone(context.Background()))
		s.mu.Unlock()
		handler.ServeHTTP(w, r)
	}))
	s.http.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.http.EnableHTTP2 = http2
	s.http.Listener = Record(s.http.Listener, func(hello []byte) {
		s.mu.Lock()
		s.hellos = append(s.hellos, hello)
		s.mu.Unlock()
	})
	s.http.TLS = &tls.Config{
		Certificates: []tls.Certificate{cert},
		GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			s.mu.Lock()
			s.names = append(s.names, h.ServerName)
			s.mu.Unlock()
			return nil, nil
		},
	}
	s.http.StartTLS()
	t.Cleanup(s.http.Close)
	return s
}

// Addr returns the server's host:port.
func (s *Server) Addr() string { return s.http.Listener.Addr().String() }

// Stop ends the server before the test does, cutting its connections.
func (s *Server) Stop() {
	s.http.CloseClientConnections()
	s.http.Close()
}

// CutConnections closes the connections there are.
func (s *Server) CutConnections() { s.http.CloseClientConnections() }

// Hellos returns the ClientHello of each connection, as the bytes of its TLS
// record.
func (s *Server) Hellos() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([][]byte(nil), s.hellos...)
}

// Names returns the server name that each ClientHello had, "" for none.
func (s *Server) Names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.names...)
}

// Requests returns the requests so far; their bodies are gone.
func (s *Server) Requests() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*http.Request(nil), s.requests...)
}

// Record wraps a listener so that saw is called with the first TLS record that
// each connection receives.
func Record(l net.Listener, saw func(record []byte)) net.Listener {
	return &recordListener{Listener: l, saw: saw}
}

type recordListener struct {
	net.Listener
	saw func([]byte)
}

func (l *recordListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &recordConn{Conn: c, saw: l.saw}, nil
}

// A recordConn keeps what it reads until that is a whole TLS record.
type recordConn struct {
	net.Conn
	saw  func([]byte)
	data bytes.Buffer
	done bool
}

func (c *recordConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if !c.done {
		c.data.Write(p[:n])
		const header = 5 // type, version, length (RFC 8446, section 5.1)
		if b := c.data.Bytes(); len(b) >= header {
			if size := header + int(binary.BigEndian.Uint16(b[3:])); len(b) >= size {
				c.done = true
				c.saw(bytes.Clone(b[:size]))
			}
		}
	}
	return n, err
}

// DialTo returns a dial function that reaches hosts, by name without port, at
// the addresses given; other hosts are unknown.
func DialTo(hosts map[string]string) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		to, ok := hosts[host]
		if !ok {
			return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
		}
		return new(net.Dialer).DialContext(ctx, network, to)
	}
}
