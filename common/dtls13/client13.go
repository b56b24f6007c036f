package dtls13

import (
	"bytes"
	"slices"
)

// sendHello sends a ClientHello: the first, or the next with what the server
// asked for.
func (m *machine) sendHello() error {
	if m.hello == nil {
		h, err := m.p.newHello(m.cfg.Rand)
		if err != nil {
			return err
		}
		m.hello = h
	}
	m.begin([]*outMessage{m.message(msgClientHello, 0, m.p.clientHello(m.hello))}, nil)
	return nil
}

// onServerHello takes what answers a ClientHello.
func (m *machine) onServerHello(msg message) error {
	if msg.typ == msgHelloVerifyRequest {
		return m.onHelloVerifyRequest(msg)
	}
	if msg.typ != msgServerHello {
		return fault(alertUnexpectedMessage, "no server hello where one must be")
	}
	h, err := parseServerHello(msg.body)
	if err != nil {
		return err
	}
	if h.version == 0 && !h.retry() {
		return m.onServerHello12(msg, h)
	}
	s, known := suite13(h.suite)
	switch {
	case h.version != Version13 || !m.p.has13():
		return fault(alertIllegalParameter, "server chose a version that was not offered")
	case !known || !slices.Contains(m.p.suites, h.suite):
		return fault(alertIllegalParameter, "server chose a cipher suite that was not offered")
	case len(h.sessionID) > 0 || len(m.hello.cookie) > 0:
		return fault(alertIllegalParameter, "server hello of 1.3 has what is 1.2's")
	case h.ems || h.reneg || h.formats || h.srtp != 0 || h.alpn != "":
		return fault(alertUnsupportedExtension, "server hello of 1.3 has extensions of 1.2")
	case m.hs.retried && s.id != m.hs.suite.id:
		return fault(alertIllegalParameter, "server changed its cipher suite")
	}
	m.hs.suite = s
	if h.retry() {
		return m.onHelloRetryRequest(msg, h)
	}
	i := slices.IndexFunc(m.hello.shares, func(p privateShare) bool { return p.group == h.share.group })
	if i < 0 || len(h.share.data) == 0 {
		return fault(alertIllegalParameter, "server chose a group without a key share")
	}
	secret, err := m.hello.shares[i].open(h.share.data)
	if err != nil {
		return fault(alertIllegalParameter, "key share of the server")
	}
	m.hs.group = h.share.group
	m.tr.add(msg)
	if err := m.agreed(secret); err != nil {
		return err
	}
	m.raise(2)
	m.next = m.onEncryptedExtensions
	return nil
}

// onHelloRetryRequest sends another ClientHello (RFC 8446 section 4.1.4).
func (m *machine) onHelloRetryRequest(msg message, h serverHello) error {
	if m.hs.retried {
		return fault(alertUnexpectedMessage, "second hello retry request")
	}
	m.hs.retried = true
	if h.share.group == 0 && len(h.cookie) == 0 {
		return fault(alertIllegalParameter, "hello retry request that changes nothing")
	}
	if g := h.share.group; g != 0 {
		if !slices.Contains(m.p.groups, g) || slices.ContainsFunc(m.hello.shares, func(s privateShare) bool { return s.group == g }) {
			return fault(alertIllegalParameter, "hello retry request for a group that makes no sense")
		}
		share, err := newShare(g)
		if err != nil {
			return fault(alertHandshakeFailure, "server wants a group that is not implemented")
		}
		m.hello.shares = []privateShare{share}
	}
	m.hello.cookie13 = slices.Clone(h.cookie)
	m.keys.find(0).protection = plain{recordVersion} // as both browsers do
	m.tr.retry(m.hs.suite.hash)
	m.tr.add(msg)
	return m.sendHello()
}

func (m *machine) onEncryptedExtensions(msg message) error {
	if msg.typ != msgEncryptedExtensions {
		return fault(alertUnexpectedMessage, "no encrypted extensions where they must be")
	}
	e, err := parseEncryptedExtensions(msg.body)
	if err != nil {
		return err
	}
	if e.srtp != 0 && !slices.Contains(m.p.srtp, e.srtp) || e.alpn != "" && !slices.Contains(m.p.alpn, e.alpn) {
		return fault(alertIllegalParameter, "server chose what was not offered")
	}
	m.state.SRTPProfile = e.srtp
	m.tr.add(msg)
	m.next = m.onCertificateRequest
	return nil
}

func (m *machine) onCertificateRequest(msg message) error {
	m.next = m.onCertificate
	if msg.typ != msgCertificateRequest {
		return m.onCertificate(msg)
	}
	context, algs, err := parseCertificateRequest13(msg.body)
	if err != nil {
		return err
	}
	m.hs.requested, m.hs.context, m.hs.peerTakes = true, bytes.Clone(context), algs
	m.tr.add(msg)
	return nil
}

func (m *machine) onCertificate(msg message) error {
	m.next = m.onCertificateVerify
	return m.checkCertificate(msg, nil)
}

func (m *machine) onCertificateVerify(msg message) error {
	m.next = m.onFinished
	return m.checkProof(msg, signedByServer, m.p.sigAlgs)
}

// onFinished answers the server's flight with the last one.
func (m *machine) onFinished(msg message) error {
	if err := m.checkFinished(msg, m.hs.server); err != nil {
		return err
	}
	if err := m.application(); err != nil {
		return err
	}
	var flight []*outMessage
	if m.hs.requested {
		proof, err := m.proof(signedByClient)
		if err != nil {
			return err
		}
		flight = proof
	}
	fin, err := m.finished(m.hs.client)
	if err != nil {
		return err
	}
	if err := m.schedulePeer(3, m.hs.serverApp, m.hs.clientApp); err != nil {
		return err
	}
	m.begin(append(flight, fin), m.keys.forget)
	if m.p.lastDoubled {
		m.wait *= 2
		m.flight.deadline = m.after(m.wait)
	}
	if err := m.scheduleOwn(3, m.hs.clientApp, m.hs.serverApp); err != nil {
		return err
	}
	m.complete13()
	return nil
}
