package httpserve

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

// certFiles is a certificate in two files that may be renewed under us.
type certFiles struct {
	certFile, keyFile string
	current           atomic.Pointer[tls.Certificate]
}

func newCertFiles(certFile, keyFile string) (*certFiles, error) {
	c := &certFiles{certFile: certFile, keyFile: keyFile}
	if err := c.load(); err != nil {
		return nil, err
	}
	return c, nil
}

// load reads the files; on error the certificate stays as it was.
func (c *certFiles) load() error {
	cert, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("load certificate: %w", err)
	}
	c.current.Store(&cert)
	return nil
}

// get is tls.Config.GetCertificate.
func (c *certFiles) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return c.current.Load(), nil
}

// acmeTimeout bounds each request to the certificate authority.
const acmeTimeout = 60 * time.Second

// authority is an ACME certificate authority.
type authority struct {
	directory     string // URL
	challengePort string // where it looks for HTTP-01 challenges
}

// letsEncrypt is the authority in use. Port 80 is RFC 8555's, section 8.3.
func letsEncrypt() authority {
	return authority{directory: autocert.DefaultACMEDirectory, challengePort: "80"}
}

// newACMEManager gets and keeps certificates for the host names of o.
func newACMEManager(o Options, ca authority) *autocert.Manager {
	return &autocert.Manager{
		Prompt:     autocert.AcceptTOS,
		Cache:      autocert.DirCache(o.ACMECertCache),
		HostPolicy: autocert.HostWhitelist(o.hostnames()...),
		Email:      o.ACMEEmail,
		Client: &acme.Client{
			DirectoryURL: ca.directory,
			HTTPClient: &http.Client{
				Timeout:   acmeTimeout,
				Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, IdleConnTimeout: acmeTimeout},
			},
		},
	}
}
