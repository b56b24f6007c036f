package dtls13

import "errors"

var errExport = errors.New("dtls13: exporter without a handshake, or asked for too much")

// export derives keying material for the application.
func (m *machine) export(label string, context []byte, length int) ([]byte, error) {
	if !m.done || length < 0 || length > maxExport || len(context) > maxPayload {
		return nil, errExport
	}
	if m.version == Version12 {
		return m.hs12.export(label, context, length), nil
	}
	return export(m.hs.suite.hash, m.hs.exporter, label, context, length)
}
