package dtls13

import (
	"crypto/hmac"
	"slices"
)

// handshake13 is the state of a handshake of 1.3.
type handshake13 struct {
	suite    suite
	schedule *schedule
	group    uint16
	retried  bool // there was a HelloRetryRequest
	cookie   []byte

	client, server []byte // handshake traffic secrets
	clientApp      []byte // application traffic secrets
	serverApp      []byte
	exporter       []byte

	requested bool     // the server asks for a certificate
	context   []byte   // of that request
	peerTakes []uint16 // signature algorithms
	peer      []byte   // certificate
}

// sum is the hash of the messages so far.
func (m *machine) sum() []byte { return m.tr.sum13(m.hs.suite.hash) }

// agreed starts the key schedule once both shares are known and the ServerHello
// is in the transcript, and installs the keys of epoch 2.
func (m *machine) agreed(secret []byte) error {
	h := &m.hs
	var err error
	if h.schedule, err = newSchedule(h.suite.hash, secret); err != nil {
		return err
	}
	sum := m.sum()
	if h.client, err = h.schedule.derive("c hs traffic", sum); err != nil {
		return err
	}
	if h.server, err = h.schedule.derive("s hs traffic", sum); err != nil {
		return err
	}
	m.version = Version13
	if err := m.schedulePeer(2, h.server, h.client); err != nil {
		return err
	}
	return m.scheduleOwn(2, h.client, h.server)
}

// schedulePeer installs the peer's keys of an epoch for reading.
func (m *machine) schedulePeer(epoch uint64, server, client []byte) error {
	secret := client
	if m.client {
		secret = server
	}
	t, err := newTraffic(m.hs.suite, epoch, secret)
	if err != nil {
		return err
	}
	m.in.install(t)
	m.retry = true
	return nil
}

// scheduleOwn installs our keys of an epoch for writing.
func (m *machine) scheduleOwn(epoch uint64, client, server []byte) error {
	secret := server
	if m.client {
		secret = client
	}
	t, err := newTraffic(m.hs.suite, epoch, secret)
	if err != nil {
		return err
	}
	m.keys.install(t, epoch)
	return nil
}

// application derives the application secrets. The server's Finished is the last
// message of the transcript.
func (m *machine) application() error {
	h := &m.hs
	if err := h.schedule.master(); err != nil {
		return err
	}
	sum := m.sum()
	var err error
	if h.clientApp, err = h.schedule.derive("c ap traffic", sum); err != nil {
		return err
	}
	if h.serverApp, err = h.schedule.derive("s ap traffic", sum); err != nil {
		return err
	}
	h.exporter, err = h.schedule.derive("exp master", sum)
	return err
}

// proof is our Certificate and CertificateVerify.
func (m *machine) proof(label string) ([]*outMessage, error) {
	cert := m.message(msgCertificate, 2, certificate13(m.hs.context, m.cfg.Certificate.DER))
	alg, signature, err := m.cfg.Certificate.sign(signedContent(label, m.sum()), m.hs.peerTakes)
	if err != nil {
		return nil, err
	}
	return []*outMessage{cert, m.message(msgCertificateVerify, 2, signed(alg, signature))}, nil
}

// finished is our Finished.
func (m *machine) finished(secret []byte) (*outMessage, error) {
	mac, err := finishedMAC(m.hs.suite.hash, secret, m.sum())
	if err != nil {
		return nil, err
	}
	return m.message(msgFinished, 2, mac), nil
}

// checkCertificate takes the peer's Certificate.
func (m *machine) checkCertificate(msg message, context []byte) error {
	if msg.typ != msgCertificate {
		return fault(alertUnexpectedMessage, "no certificate where one must be")
	}
	leaf, err := parseCertificate13(msg.body, context)
	if err != nil {
		return err
	}
	if leaf == nil {
		return fault(alertCertificateRequired, "the peer has no certificate")
	}
	m.hs.peer = slices.Clone(leaf)
	m.tr.add(msg)
	return nil
}

// checkProof takes the peer's CertificateVerify.
func (m *machine) checkProof(msg message, label string, offered []uint16) error {
	if msg.typ != msgCertificateVerify {
		return fault(alertUnexpectedMessage, "no certificate verify where one must be")
	}
	alg, signature, err := parseSigned(msg.body)
	if err != nil {
		return err
	}
	if err := m.judge(m.hs.peer, false, offered, alg, signedContent(label, m.sum()), signature); err != nil {
		return err
	}
	m.tr.add(msg)
	return nil
}

// judge checks that the peer holds the key of its certificate, by a signature as
// verify knows it, and only then has the owner look at the certificate.
func (m *machine) judge(der []byte, v12 bool, offered []uint16, alg uint16, content, signature []byte) error {
	key, err := publicKey(der)
	if err != nil {
		return err
	}
	if err := verify(key, v12, offered, alg, content, signature); err != nil {
		return err
	}
	if err := m.cfg.VerifyPeer(der); err != nil {
		return rejected{err}
	}
	m.state.PeerCertificate = der
	return nil
}

// rejected is the owner's verdict on the peer's certificate.
type rejected struct{ error }

func (e rejected) Error() string { return "dtls13: the peer's certificate: " + e.error.Error() }
func (e rejected) Unwrap() error { return e.error }

// checkFinished takes the peer's Finished.
func (m *machine) checkFinished(msg message, secret []byte) error {
	if msg.typ != msgFinished {
		return fault(alertUnexpectedMessage, "no finished where one must be")
	}
	want, err := finishedMAC(m.hs.suite.hash, secret, m.sum())
	if err != nil {
		return err
	}
	if !hmac.Equal(want, msg.body) {
		return fault(alertDecryptError, "finished does not verify")
	}
	m.tr.add(msg)
	return nil
}

// complete13 ends the handshake.
func (m *machine) complete13() {
	m.state.Version, m.state.CipherSuite, m.state.Group = Version13, m.hs.suite.id, m.hs.group
	m.done = true
	m.next = m.onPostHandshake
	m.raise(3)
	m.tr = transcript{}
	m.hello = nil
}
