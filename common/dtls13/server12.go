package dtls13

import (
	"bytes"
	"slices"
)

// sessionIDSize is that of a browser's ServerHello in 1.2 (measured), although
// sessions are not resumed.
const sessionIDSize = 32

// scsv stands for an empty renegotiation_info (RFC 5746 section 3.3).
const scsv uint16 = 0x00ff

// onClientHello12 answers a client that does not offer 1.3.
func (m *machine) onClientHello12(msg message, h clientHello) error {
	// In DTLS a later version has a smaller number (RFC 6347 section 4.1).
	if h.version > Version12 || h.versions != nil && !slices.Contains(h.versions, Version12) {
		return fault(alertProtocolVersion, "client offers no version from 1.2 on")
	}
	if m.hs.retried {
		return fault(alertIllegalParameter, "client offers 1.2 after a hello retry request")
	}
	groups := h.groups
	if groups == nil {
		groups = []uint16{groupP256} // What every client knows (RFC 8422 section 4).
	}
	group := firstCommon(m.p.curves12(), groups)
	s, ok := m.chooseSuite12(h.suites)
	if group == 0 || !ok {
		return fault(alertHandshakeFailure, "no cipher suite or group in common with a client of 1.2")
	}
	m.chosen12()
	answer := serverHello{suite: s.id, ems: h.ems, reneg: h.reneg || slices.Contains(h.suites, scsv), formats: h.formats,
		srtp: firstCommon(m.p.srtp, h.srtp)}
	var err error
	if answer.sessionID, err = m.random(sessionIDSize); err != nil {
		return err
	}
	if answer.random, err = m.random(32); err != nil {
		return err
	}
	if m.p.has13() { // RFC 8446 section 4.1.3
		copy(answer.random[len(answer.random)-len(downgraded):], downgraded)
	}
	m.state.SRTPProfile = answer.srtp
	m.hs12 = handshake12{suite: s, ems: h.ems, clientRandom: bytes.Clone(h.random), serverRandom: answer.random}
	if m.hs12.share, err = newShare(group); err != nil {
		return err
	}
	m.tr.add(msg)
	return m.sendServerFlight12(answer, h.sigAlgs)
}

// chooseSuite12 takes the first of ours that the client has, and that goes with
// our key.
func (m *machine) chooseSuite12(offered []uint16) (suite12, bool) {
	for _, id := range m.p.suites {
		if s, ok := suiteOf12(id); ok && s.ecdsa && slices.Contains(offered, id) {
			return s, true
		}
	}
	return suite12{}, false
}

// sendServerFlight12 sends ServerHello to ServerHelloDone.
func (m *machine) sendServerFlight12(answer serverHello, peerTakes []uint16) error {
	params := ecdheParams(m.hs12.share.keyShare)
	alg, signature, err := m.cfg.Certificate.sign(slices.Concat(m.hs12.clientRandom, m.hs12.serverRandom, params), peerTakes)
	if err != nil {
		return err
	}
	m.begin([]*outMessage{
		m.message(msgServerHello, 0, answer.marshal12(m.p.order12)),
		m.message(msgCertificate, 0, certificate12(m.cfg.Certificate.DER)),
		m.message(msgServerKeyExchange, 0, append(params, signed(alg, signature)...)),
		m.message(msgCertificateRequest, 0, certificateRequest12(m.p.certTypes12, m.p.sigAlgs)),
		m.message(msgServerHelloDone, 0, nil),
	}, nil)
	m.next = m.onClientCertificate12
	return nil
}

func (m *machine) onClientCertificate12(msg message) error {
	m.next = m.onClientKeyExchange
	return m.checkCertificate12(msg)
}

func (m *machine) onClientKeyExchange(msg message) error {
	if msg.typ != msgClientKeyExchange {
		return fault(alertUnexpectedMessage, "no client key exchange where one must be")
	}
	public, err := parseClientKeyExchange(msg.body)
	if err != nil {
		return err
	}
	m.hs12.peerShare = bytes.Clone(public)
	m.tr.add(msg)
	m.next = m.onClientCertificateVerify12
	return m.derive12()
}

func (m *machine) onClientCertificateVerify12(msg message) error {
	if msg.typ != msgCertificateVerify {
		return fault(alertUnexpectedMessage, "no certificate verify where one must be")
	}
	alg, signature, err := parseSigned(msg.body)
	if err != nil {
		return err
	}
	if err := m.judge(m.hs12.peer, true, m.p.sigAlgs, alg, m.tr.bytes12(), signature); err != nil {
		return err
	}
	m.tr.add(msg)
	m.raise(1)
	m.next = m.onClientFinished12
	return nil
}

// onClientFinished12 completes the handshake. The last flight is sent again when
// the client asks for it, not by time.
func (m *machine) onClientFinished12(msg message) error {
	if err := m.checkFinished12(msg, clientFinished12); err != nil {
		return err
	}
	m.begin(m.closing12(serverFinished12), nil)
	m.hs12.last, m.flight = m.flight, nil
	m.complete12()
	return nil
}
