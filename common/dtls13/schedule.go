package dtls13

import (
	"crypto/hkdf"
	"crypto/hmac"
	"hash"
)

// labelPrefix is that of 1.3's labels here (RFC 9147 section 5.9); TLS has
// "tls13 ".
const labelPrefix = "dtls13"

// expandLabel is HKDF-Expand-Label (RFC 8446 section 7.1).
func expandLabel(h func() hash.Hash, secret []byte, label string, context []byte, size int) ([]byte, error) {
	label = labelPrefix + label
	info := make([]byte, 0, 4+len(label)+len(context))
	info = append(info, byte(size>>8), byte(size), byte(len(label)))
	info = append(info, label...)
	info = append(info, byte(len(context)))
	info = append(info, context...)
	return hkdf.Expand(h, secret, string(info), size)
}

// A schedule is the key schedule (RFC 8446 section 7.1), without pre-shared keys.
type schedule struct {
	hash   func() hash.Hash
	size   int
	secret []byte // the handshake secret, then the master secret
}

// newSchedule goes as far as the handshake secret.
func newSchedule(h func() hash.Hash, shared []byte) (*schedule, error) {
	s := &schedule{hash: h, size: h().Size()}
	var err error
	if s.secret, err = hkdf.Extract(h, make([]byte, s.size), nil); err != nil {
		return nil, err
	}
	return s, s.advance(shared)
}

// advance goes to the next secret.
func (s *schedule) advance(input []byte) error {
	salt, err := s.derive("derived", s.hash().Sum(nil))
	if err != nil {
		return err
	}
	s.secret, err = hkdf.Extract(s.hash, input, salt)
	return err
}

// master goes from the handshake secret to the master secret.
func (s *schedule) master() error { return s.advance(make([]byte, s.size)) }

// derive is Derive-Secret, given the hash of the messages.
func (s *schedule) derive(label string, transcript []byte) ([]byte, error) {
	return expandLabel(s.hash, s.secret, label, transcript, s.size)
}

// finishedMAC is the verify_data of a Finished (RFC 8446 section 4.4.4) under the
// handshake traffic secret of its sender.
func finishedMAC(h func() hash.Hash, secret, transcript []byte) ([]byte, error) {
	key, err := expandLabel(h, secret, "finished", nil, h().Size())
	if err != nil {
		return nil, err
	}
	mac := hmac.New(h, key)
	mac.Write(transcript)
	return mac.Sum(nil), nil
}

// maxExport bounds what Export gives: HKDF has no more (RFC 5869 section 2.3).
const maxExport = 255 * 32

// export is the exporter of RFC 8446 section 7.5.
func export(h func() hash.Hash, exporter []byte, label string, context []byte, length int) ([]byte, error) {
	secret, err := expandLabel(h, exporter, label, h().Sum(nil), h().Size())
	if err != nil {
		return nil, err
	}
	sum := h()
	sum.Write(context)
	return expandLabel(h, secret, "exporter", sum.Sum(nil), length)
}
