package dtls13

import "encoding/binary"

// A scratch is memory that opening and sealing need beside the record, so that
// neither allocates. It is for one goroutine at a time.
type scratch struct {
	nonce [nonceSize]byte
	mask  [sampleSize]byte
	aad   [plainHeaderSize]byte // 1.2
}

// A protection holds the keys of one epoch and one direction. It does not change
// and may be used by several goroutines, each with a scratch of its own.
type protection interface {
	// seal appends a record to dst.
	seal(dst []byte, s *scratch, typ uint8, seq uint64, payload []byte) []byte
	// overhead is by how much a record is longer than its payload.
	overhead() int
}

// traffic is a protection of 1.3 (RFC 9147 section 4).
type traffic struct {
	suite  suite
	epoch  uint64
	secret []byte
	aead   aead
	iv     [nonceSize]byte
	sn     masker
}

// An aead is cipher.AEAD.
type aead interface {
	Seal(dst, nonce, plaintext, aad []byte) []byte
	Open(dst, nonce, ciphertext, aad []byte) ([]byte, error)
}

// newTraffic derives the keys of an epoch from its secret (RFC 8446 section 7.3,
// RFC 9147 section 4.2.3).
func newTraffic(s suite, epoch uint64, secret []byte) (*traffic, error) {
	t := &traffic{suite: s, epoch: epoch, secret: secret}
	key, err := expandLabel(s.hash, secret, "key", nil, s.keySize)
	if err != nil {
		return nil, err
	}
	iv, err := expandLabel(s.hash, secret, "iv", nil, nonceSize)
	if err != nil {
		return nil, err
	}
	sn, err := expandLabel(s.hash, secret, "sn", nil, s.keySize)
	if err != nil {
		return nil, err
	}
	copy(t.iv[:], iv)
	if t.aead, err = s.aead(key); err != nil {
		return nil, err
	}
	t.sn, err = s.masker(sn)
	return t, err
}

// update makes the keys of the next epoch (RFC 8446 section 7.2, RFC 9147
// section 8).
func (t *traffic) update() (*traffic, error) {
	secret, err := expandLabel(t.suite.hash, t.secret, "traffic upd", nil, len(t.secret))
	if err != nil {
		return nil, err
	}
	return newTraffic(t.suite, t.epoch+1, secret)
}

func (t *traffic) overhead() int { return unifiedHeaderSize + 1 + tagSize }

// nonce is the IV with the sequence number, without the epoch (RFC 8446 section
// 5.3, RFC 9147 section 4).
func (t *traffic) nonce(s *scratch, seq uint64) []byte {
	s.nonce = t.iv
	n := s.nonce[nonceSize-8:]
	binary.BigEndian.PutUint64(n, binary.BigEndian.Uint64(n)^seq)
	return s.nonce[:]
}

func (t *traffic) seal(dst []byte, s *scratch, typ uint8, seq uint64, payload []byte) []byte {
	start := len(dst)
	dst = append(dst, unifiedMark|unifiedSeq16|unifiedLength|byte(t.epoch&unifiedEpoch))
	dst = binary.BigEndian.AppendUint16(dst, uint16(seq))
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(payload)+1+tagSize))
	body := len(dst)
	dst = append(dst, payload...)
	dst = append(dst, typ)
	dst = t.aead.Seal(dst[:body], t.nonce(s, seq), dst[body:], dst[start:body])
	t.sn.mask(s.mask[:], dst[body:])
	dst[start+1] ^= s.mask[0]
	dst[start+2] ^= s.mask[1]
	return dst
}

// open decrypts a record in its place. It returns false for a record that is not
// genuine, or has been seen by w.
func (t *traffic) open(s *scratch, u unified, w *window) (r record, ok bool) {
	t.sn.mask(s.mask[:], u.raw[u.header:])
	low := uint64(0)
	for i := range u.seqSize {
		u.raw[1+i] ^= s.mask[i]
		low = low<<8 | uint64(u.raw[1+i])
	}
	seq := fullSeq(low, u.seqSize, w.next)
	if !w.fresh(seq) {
		return r, false
	}
	body := u.raw[u.header:]
	plain, err := t.aead.Open(body[:0], t.nonce(s, seq), body, u.raw[:u.header])
	if err != nil {
		return r, false
	}
	w.mark(seq)
	// The type is the last byte that is not padding (RFC 8446 section 5.4).
	n := len(plain)
	for n > 0 && plain[n-1] == 0 {
		n--
	}
	if n == 0 || n-1 > maxPayload {
		return r, false
	}
	return record{recordNumber{t.epoch, seq}, plain[n-1], plain[:n-1]}, true
}
