package covert

import (
	"crypto/x509"
	_ "embed"
)

// isrgRootX1 is the self-signed root of Let's Encrypt, from the Mozilla list.
// Android before 7.1.1 lacks it (wire specification, section 2.6).
//
//go:embed isrg_root_x1.pem
var isrgRootX1 []byte

// Roots returns the system's trust roots with ISRG Root X1 added. On Unix the
// variables SSL_CERT_FILE and SSL_CERT_DIR name other places for the system's.
// A nil pool, which means the platform's own verification, is returned where
// the system has no pool that can be added to.
func Roots() *x509.CertPool {
	pool, err := x509.SystemCertPool()
	if err != nil || !pool.AppendCertsFromPEM(isrgRootX1) {
		return nil
	}
	return pool
}
