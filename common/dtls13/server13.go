package dtls13

import (
	"crypto/hmac"
	"crypto/sha256"
	"io"
	"slices"
)

// onClientHello takes the first message of a client.
func (m *machine) onClientHello(msg message) error {
	if msg.typ != msgClientHello {
		return fault(alertUnexpectedMessage, "no client hello where one must be")
	}
	h, ok := parseClientHello(msg.body)
	if !ok {
		return fault(alertDecodeError, "client hello")
	}
	m.hs.peerTakes = h.sigAlgs
	if !m.p.has13() || !slices.Contains(h.versions, Version13) {
		return m.onClientHello12(msg, h)
	}
	switch {
	case h.version != Version12 || len(h.cookie) > 0:
		return fault(alertIllegalParameter, "client hello of 1.3 has what is 1.2's")
	case h.groups == nil || h.shares == nil || h.sigAlgs == nil:
		return fault(alertMissingExtension, "client hello lacks an extension")
	}
	s, ok := m.chooseSuite(h.suites)
	if !ok || !slices.Contains(h.sigAlgs, sigECDSAP256) {
		return fault(alertHandshakeFailure, "no cipher suite or signature in common")
	}
	if m.hs.retried && s.id != m.hs.suite.id {
		return fault(alertIllegalParameter, "client changed its cipher suites")
	}
	m.hs.suite = s
	return m.answerHello(msg, h)
}

// answerHello chooses a group and answers, or asks for another share.
func (m *machine) answerHello(msg message, h clientHello) error {
	group, share, ok := m.chooseGroup(h)
	if !ok {
		return fault(alertHandshakeFailure, "no group in common")
	}
	if m.hs.retried {
		if share == nil || group != m.hs.group || !hmac.Equal(h.cookie13, m.hs.cookie) {
			return fault(alertIllegalParameter, "client did not do what the hello retry request said")
		}
	}
	m.tr.add(msg)
	if share == nil {
		return m.askAgain(group)
	}
	data, secret, err := answerShare(*share)
	if err != nil {
		return fault(alertIllegalParameter, "key share of the client")
	}
	m.hs.group = group
	hello := serverHello{suite: m.hs.suite.id, share: keyShare{group, data}}
	if hello.random, err = m.random(32); err != nil {
		return err
	}
	flight := []*outMessage{m.message(msgServerHello, 0, hello.marshal13())}
	if err := m.agreed(secret); err != nil {
		return err
	}
	return m.sendServerFlight(flight, h)
}

func (m *machine) random(n int) ([]byte, error) {
	b := make([]byte, n)
	_, err := io.ReadFull(m.cfg.Rand, b)
	return b, err
}

// chooseSuite takes the first of ours that the client has: AES-128, as both
// browsers do where the processor has instructions for it.
func (m *machine) chooseSuite(offered []uint16) (suite, bool) {
	for _, id := range m.p.suites {
		if s, ok := suite13(id); ok && slices.Contains(offered, id) {
			return s, true
		}
	}
	return suite{}, false
}

// chooseGroup takes the first of our groups that the client has a share for. If
// there is none, it returns a group both have, and no share.
func (m *machine) chooseGroup(h clientHello) (uint16, *keyShare, bool) {
	common := uint16(0)
	for _, g := range m.p.groups {
		if curve(g) == nil || !slices.Contains(h.groups, g) {
			continue
		}
		for i := range h.shares {
			if h.shares[i].group == g {
				return g, &h.shares[i], true
			}
		}
		if common == 0 {
			common = g
		}
	}
	return common, nil, common != 0
}

// askAgain sends a HelloRetryRequest (RFC 8446 section 4.1.4). Its cookie says
// nothing that we do not remember: ICE has confirmed the client's address.
func (m *machine) askAgain(group uint16) error {
	m.hs.retried, m.hs.group = true, group
	secret, err := m.random(sha256.Size)
	if err != nil {
		return err
	}
	m.hs.cookie = secret
	hello := serverHello{random: retryRandom(), suite: m.hs.suite.id, share: keyShare{group: group}, cookie: secret}
	m.tr.retry(m.hs.suite.hash)
	m.begin([]*outMessage{m.message(msgServerHello, 0, hello.marshal13())}, nil)
	return nil
}

// sendServerFlight sends ServerHello to Finished.
func (m *machine) sendServerFlight(flight []*outMessage, h clientHello) error {
	m.state.SRTPProfile = firstCommon(m.p.srtp, h.srtp)
	alpn := ""
	for _, name := range m.p.alpn {
		if alpn == "" && slices.Contains(h.alpn, name) {
			alpn = name
		}
	}
	flight = append(flight,
		m.message(msgEncryptedExtensions, 2, m.p.encryptedExtensions(h, m.state.SRTPProfile, alpn)),
		m.message(msgCertificateRequest, 2, certificateRequest13(m.p.reqAlgs)))
	proof, err := m.proof(signedByServer)
	if err != nil {
		return err
	}
	fin, err := m.finished(m.hs.server)
	if err != nil {
		return err
	}
	m.begin(append(append(flight, proof...), fin), nil)
	if err := m.application(); err != nil {
		return err
	}
	m.raise(2)
	m.next = m.onClientCertificate
	return m.scheduleOwn(3, m.hs.clientApp, m.hs.serverApp)
}

// firstCommon is the first of ours that is among theirs, or 0.
func firstCommon(ours, theirs []uint16) uint16 {
	for _, v := range ours {
		if slices.Contains(theirs, v) {
			return v
		}
	}
	return 0
}

func (m *machine) onClientCertificate(msg message) error {
	m.next = m.onClientCertificateVerify
	return m.checkCertificate(msg, nil)
}

func (m *machine) onClientCertificateVerify(msg message) error {
	m.next = m.onClientFinished
	return m.checkProof(msg, signedByClient, m.p.reqAlgs)
}

// onClientFinished completes the handshake. An ACK answers the client's flight.
func (m *machine) onClientFinished(msg message) error {
	if err := m.checkFinished(msg, m.hs.client); err != nil {
		return err
	}
	if err := m.schedulePeer(3, m.hs.serverApp, m.hs.clientApp); err != nil {
		return err
	}
	m.flight = nil
	m.keys.forget()
	m.complete13()
	return nil
}
