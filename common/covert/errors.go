package covert

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	utls "github.com/refraction-networking/utls"
)

// ErrClosed is returned by a Transport after Close.
var ErrClosed = errors.New("transport is closed")

// A DialError says that no connection could be made: name lookup, TCP or TLS
// handshake failed or took too long. No part of a request has been sent.
type DialError struct {
	Addr string // host:port that was dialled
	Err  error
}

func (e *DialError) Error() string { return "connect to " + e.Addr + ": " + e.Err.Error() }

// Unwrap returns the reason.
func (e *DialError) Unwrap() error { return e.Err }

// A CertificateError says that the peer's certificate was refused. It is always
// inside a DialError.
type CertificateError struct {
	Host string // the name the certificate had to be valid for
	Err  error  // from crypto/x509
}

func (e *CertificateError) Error() string {
	return fmt.Sprintf("certificate is not valid for %s: %v", e.Host, e.Err)
}

// Unwrap returns the verifier's reason.
func (e *CertificateError) Unwrap() error { return e.Err }

// asCertificateError brings the verification errors of both TLS stacks into one
// form and returns other errors as they are.
func asCertificateError(host string, err error) error {
	var ordinary *tls.CertificateVerificationError
	if errors.As(err, &ordinary) {
		return &CertificateError{Host: host, Err: ordinary.Err}
	}
	var imitated *utls.CertificateVerificationError
	if errors.As(err, &imitated) {
		return &CertificateError{Host: host, Err: imitated.Err}
	}
	var name x509.HostnameError
	var issuer x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	if errors.As(err, &name) || errors.As(err, &issuer) || errors.As(err, &invalid) {
		return &CertificateError{Host: host, Err: err}
	}
	return err
}

// errStale marks a failure of a connection that had been used before, or opened
// ahead, and broke with nothing of the reply seen, or a request the peer says it
// did not touch: the request may be sent again on another connection.
var errStale = errors.New("connection ended before the reply")
