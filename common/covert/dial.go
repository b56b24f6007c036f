package covert

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	utls "github.com/refraction-networking/utls"
)

// randomizedAttempts is how often a handshake with a randomized hello is tried.
// A drawn hello can lack every cipher or curve of the peer; the next seldom does.
const randomizedAttempts = 3

// randomizedDraws is how many randomized hellos are drawn for one that is
// coherent. About one in five is not.
const randomizedDraws = 32

// dialPlain makes a TCP connection.
func (t *Transport) dialPlain(ctx context.Context, addr string) (net.Conn, error) {
	return t.options.DialContext(ctx, "tcp", addr)
}

// dialTLS makes a TLS connection to addr with the certificate verified for host
// and returns it with the protocol that ALPN chose, "" if none. It is called
// from dial, and so before Close has waited.
func (t *Transport) dialTLS(ctx context.Context, addr, host string) (net.Conn, string, error) {
	t.work.Go(func() { t.roots() }) // beside TCP's handshake
	attempts := 1
	if t.hello.randomized {
		attempts = randomizedAttempts
	}
	for {
		raw, err := t.dialPlain(ctx, addr)
		if err != nil {
			return nil, "", err
		}
		conn, alpn, err := t.handshake(ctx, raw, addr, host)
		if err == nil {
			return conn, alpn, nil
		}
		_ = raw.Close() // the handshake's error says more
		if t.hello.oneKey && strings.Contains(err.Error(), wrongShare) && t.preferP256(addr) {
			continue
		}
		attempts--
		var certificate *CertificateError
		if attempts == 0 || ctx.Err() != nil || errors.As(err, &certificate) {
			return nil, "", err
		}
	}
}

// wrongShare is in uTLS's error if a server takes the key share of which uTLS
// does not keep the key.
const wrongShare = "tls: invalid server key share"

// preferP256 remembers that the server at addr takes P-256, and reports whether
// that is new.
func (t *Transport) preferP256(addr string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	known := t.p256[addr]
	t.p256[addr] = true
	return !known
}

// handshake runs TLS over raw, imitated or ordinary.
func (t *Transport) handshake(ctx context.Context, raw net.Conn, addr, host string) (net.Conn, string, error) {
	noSNI := t.options.NoSNI || isIP(host)
	if t.hello.ordinary {
		conn := tls.Client(raw, t.ordinaryConfig(host, noSNI))
		if err := conn.HandshakeContext(ctx); err != nil {
			return nil, "", asHandshakeError(ctx, host, err)
		}
		return conn, conn.ConnectionState().NegotiatedProtocol, nil
	}
	t.mu.Lock()
	p256 := t.p256[addr]
	t.mu.Unlock()
	conn, err := t.imitate(raw, host, noSNI, p256)
	if err != nil {
		return nil, "", err
	}
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, "", asHandshakeError(ctx, host, err)
	}
	return conn, conn.ConnectionState().NegotiatedProtocol, nil
}

// imitate prepares the imitated browser's hello for raw, to a server that is
// known to take P-256 or not.
func (t *Transport) imitate(raw net.Conn, host string, noSNI, p256 bool) (*utls.UConn, error) {
	for range randomizedDraws {
		// Browsers fill a record as long as they have something to send.
		conn := utls.UClient(raw, &utls.Config{ServerName: host, RootCAs: t.roots(), DynamicRecordSizingDisabled: true}, t.hello.id)
		if noSNI {
			// The name stays in the Config: the certificate is verified for it.
			if err := conn.RemoveSNIExtension(); err != nil {
				return nil, err
			}
		}
		if t.hello.build != nil {
			return conn, t.hello.apply(conn, p256)
		}
		if !t.hello.randomized {
			return conn, nil
		}
		if err := conn.BuildHandshakeState(); err != nil {
			return nil, err
		}
		if coherent(conn.HandshakeState.Hello.CipherSuites, conn.Extensions) {
			return conn, nil
		}
	}
	return nil, errors.New("no randomized hello was coherent")
}

// apply makes the hello of one of the browsers of browser.go for conn.
func (h *hello) apply(conn *utls.UConn, p256 bool) error {
	spec, err := h.build()
	if err != nil {
		return err
	}
	if err := conn.ApplyPreset(spec); err != nil {
		return err
	}
	if h.oneKey {
		return shareOneKey(conn, p256)
	}
	return nil
}

// coherent reports whether servers can work with a hello of which uTLS draws each
// part apart from the others. The hybrid group X25519MLKEM768 is both listed and
// has a key share, or neither: a share without the listing is against RFC 8446,
// section 4.2.8, and a server that asks for the missing share gets an error
// instead, as uTLS cannot make it then. And whoever offers HTTP/2 offers suites
// that it allows with TLS 1.2 (RFC 9113, section 9.2.2), whatever the
// certificate's key: with others servers agree, and then hang up.
func coherent(suites []uint16, extensions []utls.TLSExtension) bool {
	listed, shared, http2 := false, false, false
	for _, e := range extensions {
		switch e := e.(type) {
		case *utls.SupportedCurvesExtension:
			listed = slices.Contains(e.Curves, utls.X25519MLKEM768)
		case *utls.KeyShareExtension:
			shared = slices.ContainsFunc(e.KeyShares, func(k utls.KeyShare) bool { return k.Group == utls.X25519MLKEM768 })
		case *utls.ALPNExtension:
			http2 = slices.Contains(e.AlpnProtocols, "h2")
		}
	}
	return listed == shared && (!http2 || offersAny(suites,
		utls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, utls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
		utls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256) && offersAny(suites,
		utls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, utls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		utls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256))
}

// offersAny reports whether one of the wanted suites is offered.
func offersAny(offered []uint16, wanted ...uint16) bool {
	return slices.ContainsFunc(wanted, func(suite uint16) bool { return slices.Contains(offered, suite) })
}

// ordinaryConfig configures crypto/tls. It sends the server name whenever it
// knows one, so without SNI the name is kept from it and the certificate is
// verified in VerifyConnection instead, as crypto/tls would.
func (t *Transport) ordinaryConfig(host string, noSNI bool) *tls.Config {
	c := &tls.Config{
		ServerName: host,
		RootCAs:    t.roots(),
		NextProtos: []string{"h2", "http/1.1"},
		MinVersion: tls.VersionTLS12,
	}
	if !noSNI || isIP(host) {
		return c // crypto/tls never sends an address as SNI
	}
	c.ServerName = ""
	c.InsecureSkipVerify = true // VerifyConnection does it, with the name
	c.VerifyConnection = func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) == 0 {
			return errors.New("no certificate")
		}
		o := x509.VerifyOptions{DNSName: host, Roots: t.roots(), Intermediates: x509.NewCertPool()}
		for _, c := range s.PeerCertificates[1:] {
			o.Intermediates.AddCert(c)
		}
		_, err := s.PeerCertificates[0].Verify(o)
		return err
	}
	return c
}

// asHandshakeError says what went wrong in a handshake with host.
func asHandshakeError(ctx context.Context, host string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("TLS handshake: %w", context.Cause(ctx))
	}
	err = asCertificateError(host, err)
	var certificate *CertificateError
	if errors.As(err, &certificate) {
		return err
	}
	return fmt.Errorf("TLS handshake: %w", err)
}

// isIP reports whether host, without port or brackets, is an address literal.
func isIP(host string) bool {
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil
}
