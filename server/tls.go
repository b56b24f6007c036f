package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"flurry/common/safelog"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

const (
	// cacheName is the directory below tor's state location that keeps
	// certificates (spec section 8.5).
	cacheName = "snowflake-certificate-cache"

	// acmePort is where the certificate authority comes to look (RFC 8555,
	// section 8.3).
	acmePort = 80

	// acmeTimeout bounds one request to the certificate authority.
	acmeTimeout = time.Minute

	// challengeTimeout bounds a request to the HTTP-01 responder.
	challengeTimeout = 10 * time.Second
)

// baseTLS is what all certificates have in common. WebSockets need HTTP/1.1,
// so nothing else is offered; WebTransport puts HTTP/3 in its place.
func baseTLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
}

// certificate is a certificate from files, which can be read again.
type certificate struct {
	certFile, keyFile string
	current           atomic.Pointer[tls.Certificate]
}

func loadCertificate(certFile, keyFile string) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile}
	return c, c.reload()
}

// reload reads the files; on an error what was read before stays.
func (c *certificate) reload() error {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("load certificate: %w", err)
	}
	c.current.Store(&pair)
	return nil
}

// config is for connections that begin from now on.
func (c *certificate) config() *tls.Config {
	t := baseTLS()
	t.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		return c.current.Load(), nil
	}
	return t
}

// newACME prepares certificates from Let's Encrypt. Without a state directory
// they are not kept, which soon meets the authority's limits.
func newACME(o options, stateDir string, log *slog.Logger) *autocert.Manager {
	m := &autocert.Manager{
		Prompt:     autocert.AcceptTOS,
		HostPolicy: autocert.HostWhitelist(o.acmeHostnames...),
		Email:      o.acmeEmail,
		Client: &acme.Client{
			DirectoryURL: autocert.DefaultACMEDirectory,
			HTTPClient:   &http.Client{Timeout: acmeTimeout},
		},
	}
	if stateDir == "" {
		log.Warn("no TOR_PT_STATE_LOCATION: certificates are not kept over restarts")
	} else {
		m.Cache = autocert.DirCache(filepath.Join(stateDir, cacheName))
	}
	return m
}

// acmeConfig is baseTLS with the manager's certificates.
func acmeConfig(m *autocert.Manager) *tls.Config {
	t := baseTLS()
	t.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		return m.GetCertificate(withECDSA(hello))
	}
	return t
}

// withECDSA adds a cipher suite with ECDSA to a hello of TLS 1.3 alone, which QUIC
// has: there the suites say nothing of the key, and autocert, which reads it from
// them, would get an RSA certificate beside the one that it has.
func withECDSA(hello *tls.ClientHelloInfo) *tls.ClientHelloInfo {
	if len(hello.SupportedVersions) == 0 || slices.Min(hello.SupportedVersions) < tls.VersionTLS13 {
		return hello
	}
	wider := *hello
	wider.CipherSuites = append(slices.Clone(hello.CipherSuites), tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256)
	return &wider
}

// A responder answers HTTP-01 challenges.
type responder struct {
	server *http.Server
	task   sync.WaitGroup
}

// startResponder listens at the given port of ip, which has to be 80 for the
// authority to find it.
func startResponder(ctx context.Context, m *autocert.Manager, ip net.IP, port int, log *slog.Logger) (*responder, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", net.JoinHostPort(ip.String(), strconv.Itoa(port)))
	if err != nil {
		return nil, fmt.Errorf("HTTP-01 responder: %w", err)
	}
	r := &responder{server: &http.Server{
		Handler:           m.HTTPHandler(nil),
		ReadHeaderTimeout: challengeTimeout,
		ReadTimeout:       challengeTimeout,
		WriteTimeout:      challengeTimeout,
		ErrorLog:          safelog.ErrorLog(log),
	}}
	r.task.Go(func() {
		if err := r.server.Serve(l); err != http.ErrServerClosed {
			log.Error("HTTP-01 responder ended", "error", err)
		}
	})
	return r, nil
}

// stop closes the responder and its connections.
func (r *responder) stop() {
	r.server.Close()
	r.task.Wait()
}

// smethodArgs is what tor is told, and publishes, about TLS (spec section 10.1).
func smethodArgs(o options) string {
	if o.disableTLS {
		return "tls=no"
	}
	args := "tls=yes"
	for _, name := range o.acmeHostnames {
		args += ",hostname=" + strings.NewReplacer(`\`, `\\`, `=`, `\=`, `,`, `\,`).Replace(name)
	}
	return args
}
