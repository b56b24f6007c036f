package dtls13

import (
	"bytes"
	"slices"
)

// onHelloVerifyRequest sends the ClientHello again, with the server's cookie (RFC
// 6347 section 4.2.1). Both are left out of the transcript.
func (m *machine) onHelloVerifyRequest(msg message) error {
	if m.hs.retried || len(m.hello.cookie) > 0 {
		return fault(alertUnexpectedMessage, "hello verify request after another answer")
	}
	cookie, err := parseHelloVerifyRequest(msg.body)
	if err != nil {
		return err
	}
	m.hello.cookie = bytes.Clone(cookie)
	m.tr = transcript{}
	return m.sendHello()
}

// onServerHello12 goes on in 1.2, unless the server shows that it could do 1.3:
// then somebody has changed our hello (RFC 8446 section 4.1.3).
func (m *machine) onServerHello12(msg message, h serverHello) error {
	s, known := suiteOf12(h.suite)
	tail := string(h.random[len(h.random)-len(downgraded):])
	switch {
	case m.p.has13() && (tail == downgraded || tail == downgradedFar):
		return fault(alertIllegalParameter, "server says that it was made to choose 1.2")
	case m.hs.retried:
		return fault(alertIllegalParameter, "server chose 1.2 after a hello retry request")
	case !slices.Contains(m.p.suites, h.suite):
		return fault(alertIllegalParameter, "server chose a cipher suite that was not offered")
	case !known:
		return fault(alertHandshakeFailure, "server chose a cipher suite that is not implemented")
	case h.share.group != 0:
		return fault(alertUnsupportedExtension, "server hello of 1.2 has extensions of 1.3")
	case h.srtp != 0 && !slices.Contains(m.p.srtp, h.srtp) || h.alpn != "" && !slices.Contains(m.p.alpn, h.alpn):
		return fault(alertIllegalParameter, "server chose what was not offered")
	}
	m.chosen12()
	m.hs12 = handshake12{suite: s, ems: h.ems, clientRandom: m.hello.random, serverRandom: bytes.Clone(h.random)}
	m.state.SRTPProfile = h.srtp
	m.tr.add(msg)
	m.next = m.onCertificate12
	return nil
}

func (m *machine) onCertificate12(msg message) error {
	m.next = m.onServerKeyExchange
	return m.checkCertificate12(msg)
}

// onServerKeyExchange checks that the server holds the key of its certificate.
func (m *machine) onServerKeyExchange(msg message) error {
	if msg.typ != msgServerKeyExchange {
		return fault(alertUnexpectedMessage, "no server key exchange where one must be")
	}
	x, err := parseServerKeyExchange(msg.body)
	if err != nil {
		return err
	}
	if !slices.Contains(m.p.curves12(), x.share.group) {
		return fault(alertIllegalParameter, "server chose a group that was not offered")
	}
	content := slices.Concat(m.hs12.clientRandom, m.hs12.serverRandom, x.params)
	if err := m.judge(m.hs12.peer, true, m.p.sigAlgs, x.alg, content, x.signature); err != nil {
		return err
	}
	if m.hs12.share, err = newShare(x.share.group); err != nil {
		return err
	}
	m.hs12.peerShare = bytes.Clone(x.share.data)
	m.tr.add(msg)
	m.next = m.onCertificateRequest12
	return nil
}

func (m *machine) onCertificateRequest12(msg message) error {
	m.next = m.onServerHelloDone
	if msg.typ != msgCertificateRequest {
		return m.onServerHelloDone(msg)
	}
	algs, err := parseCertificateRequest12(msg.body)
	if err != nil {
		return err
	}
	m.hs12.requested, m.hs12.peerTakes = true, algs
	m.tr.add(msg)
	return nil
}

// onServerHelloDone answers the server's flight.
func (m *machine) onServerHelloDone(msg message) error {
	if msg.typ != msgServerHelloDone || len(msg.body) != 0 {
		return fault(alertUnexpectedMessage, "no server hello done where one must be")
	}
	m.tr.add(msg)
	var flight []*outMessage
	if m.hs12.requested {
		flight = append(flight, m.message(msgCertificate, 0, certificate12(m.cfg.Certificate.DER)))
	}
	flight = append(flight, m.message(msgClientKeyExchange, 0, clientKeyExchange(m.hs12.share.data)))
	if err := m.derive12(); err != nil {
		return err
	}
	if m.hs12.requested {
		alg, signature, err := m.cfg.Certificate.sign(m.tr.bytes12(), m.hs12.peerTakes)
		if err != nil {
			return err
		}
		flight = append(flight, m.message(msgCertificateVerify, 0, signed(alg, signature)))
	}
	m.begin(append(flight, m.closing12(clientFinished12)...), nil)
	m.raise(1)
	m.next = m.onServerFinished12
	return nil
}

func (m *machine) onServerFinished12(msg message) error {
	if err := m.checkFinished12(msg, serverFinished12); err != nil {
		return err
	}
	m.flight = nil
	m.complete12()
	return nil
}
