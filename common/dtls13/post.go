package dtls13

// postHandshake is what happens after the handshake of 1.3.
type postHandshake struct {
	wanted  bool // update our keys as soon as nothing is under way
	request bool // and ask the peer to do so, too
}

// onPostHandshake takes a message after the handshake. takeHandshake acknowledges
// it.
func (m *machine) onPostHandshake(msg message) error {
	switch {
	case msg.typ == msgKeyUpdate:
		return m.onKeyUpdate(msg)
	case msg.typ == msgNewSessionTicket && m.client:
		return nil // There is no resumption here, and so no use for it.
	}
	return fault(alertUnexpectedMessage, "message that must not come after the handshake")
}

// onKeyUpdate takes the peer's new keys (RFC 8446 section 4.6.3, RFC 9147 section
// 8). The old ones stay for what is still on its way.
func (m *machine) onKeyUpdate(msg message) error {
	if len(msg.body) != 1 || msg.body[0] > 1 {
		return fault(alertIllegalParameter, "key update")
	}
	t, err := m.in.epochs[m.in.current&unifiedEpoch].keys.update()
	if err != nil {
		return err
	}
	m.in.install(t)
	if msg.body[0] == 1 && !m.post.wanted {
		m.post.wanted = true
		m.updateKeys()
	}
	return nil
}

// requestUpdate has our keys changed, and if request the peer's.
func (m *machine) requestUpdate(request bool) {
	m.post.wanted = true
	m.post.request = m.post.request || request
	m.updateKeys()
}

// updateKeys sends a KeyUpdate if one is wanted and nothing is under way. The new
// keys are used once it has been acknowledged, not before (RFC 9147 section 8).
func (m *machine) updateKeys() {
	if !m.post.wanted || m.flight != nil || !m.done || m.version != Version13 || m.err != nil {
		return
	}
	body := []byte{0}
	if m.post.request {
		body[0] = 1
	}
	m.post.wanted, m.post.request = false, false
	w := m.keys.current()
	m.begin([]*outMessage{m.untracked(msgKeyUpdate, w.epoch, body)}, func() {
		t, ok := w.protection.(*traffic)
		if !ok {
			return
		}
		next, err := t.update()
		if err != nil {
			m.fail(err)
			return
		}
		m.keys.install(next, next.epoch)
		m.keys.forget()
	})
}
