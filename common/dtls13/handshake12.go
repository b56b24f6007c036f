package dtls13

import (
	"bytes"
	"crypto/hmac"
	"slices"
)

// handshake12 is the state of a handshake of 1.2.
type handshake12 struct {
	suite        suite12
	ems          bool
	clientRandom []byte
	serverRandom []byte
	share        privateShare // ours
	peerShare    []byte
	master       []byte
	peer         []byte   // certificate
	peerTakes    []uint16 // signature algorithms
	requested    bool     // the server asks for a certificate

	client, server *protection12
	last           *flight // a server's last, for a client that has not got it
}

// curves12 are the groups of a profile that 1.2 can use.
func (p Profile) curves12() []uint16 {
	return slices.DeleteFunc(slices.Clone(p.groups), func(g uint16) bool { return g == groupHybrid || curve(g) == nil })
}

// chosen12 says that it will be 1.2.
func (m *machine) chosen12() {
	m.version = Version12
	m.keys.find(0).protection = plain{recordVersion}
	m.acks = nil
}

// derive12 makes the keys of epoch 1, and installs them. The ClientKeyExchange is
// the last message of the transcript.
func (m *machine) derive12() error {
	h := &m.hs12
	premaster, err := agree(nil, h.share.dh, h.peerShare)
	if err != nil {
		return fault(alertIllegalParameter, "public key of the peer")
	}
	h.makeMaster(premaster, m.tr.bytes12())
	h.client, h.server, err = keys12(h.suite, h.master, h.clientRandom, h.serverRandom)
	if err != nil {
		return err
	}
	own, peer := h.server, h.client
	if m.client {
		own, peer = h.client, h.server
	}
	m.in.old = &readOld{protection12: peer}
	m.keys.install(own, 1)
	m.retry = true
	return nil
}

// closing12 is change_cipher_spec and Finished.
func (m *machine) closing12(label string) []*outMessage {
	fin := m.message(msgFinished, 1, finished12(m.hs12.master, label, m.tr.bytes12()))
	return []*outMessage{{ccs: true}, fin}
}

// checkFinished12 takes the peer's Finished.
func (m *machine) checkFinished12(msg message, label string) error {
	if msg.typ != msgFinished {
		return fault(alertUnexpectedMessage, "no finished where one must be")
	}
	if !hmac.Equal(msg.body, finished12(m.hs12.master, label, m.tr.bytes12())) {
		return fault(alertDecryptError, "finished does not verify")
	}
	m.tr.add(msg)
	return nil
}

// checkCertificate12 takes the peer's Certificate.
func (m *machine) checkCertificate12(msg message) error {
	if msg.typ != msgCertificate {
		return fault(alertUnexpectedMessage, "no certificate where one must be")
	}
	leaf, err := parseCertificate12(msg.body)
	if err != nil {
		return err
	}
	if leaf == nil {
		return fault(alertHandshakeFailure, "the peer has no certificate")
	}
	m.hs12.peer = bytes.Clone(leaf)
	m.tr.add(msg)
	return nil
}

// complete12 ends the handshake.
func (m *machine) complete12() {
	m.state.Version, m.state.CipherSuite, m.state.Group = Version12, m.hs12.suite.id, m.hs12.share.group
	m.done = true
	m.next = m.onRenegotiation
	m.tr, m.hello = transcript{}, nil
}

// onRenegotiation takes messages after the handshake: there is no renegotiation,
// and a request for one is ignored, as RFC 5246 section 7.4.1.1 allows.
func (m *machine) onRenegotiation(message) error { return nil }

// repeat12 sends a server's last flight again, to a client that shows by its own
// Finished that it has not got it (RFC 6347 section 4.2.4).
func (m *machine) repeat12(r record) {
	f := m.hs12.last
	if f == nil || r.epoch != 1 || f.tries >= maxTries {
		return
	}
	m.flight = f
	m.pack(f)
	f.tries++
	m.flight = nil
}
