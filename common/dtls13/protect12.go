package dtls13

import (
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"

	"golang.org/x/crypto/chacha20poly1305"
)

// Cipher suites of 1.2 that are implemented (RFC 5289, RFC 7905): of those that
// browsers offer, the ones with an AEAD and forward secrecy.
const (
	suite12ECDSAAES128 uint16 = 0xc02b
	suite12RSAAES128   uint16 = 0xc02f
	suite12ECDSAChaCha uint16 = 0xcca9
	suite12RSAChaCha   uint16 = 0xcca8
)

// A suite12 is a cipher suite of 1.2. All use SHA-256.
type suite12 struct {
	id       uint16
	ecdsa    bool // the server's key
	keySize  int
	ivSize   int // the part of the nonce that is not in the record
	explicit int // the part that is
	aead     func(key []byte) (cipher.AEAD, error)
}

func suiteOf12(id uint16) (suite12, bool) {
	switch id {
	case suite12ECDSAAES128, suite12RSAAES128:
		return suite12{id, id == suite12ECDSAAES128, 16, 4, 8, newGCM}, true
	case suite12ECDSAChaCha, suite12RSAChaCha:
		return suite12{id, id == suite12ECDSAChaCha, chacha20poly1305.KeySize, nonceSize, 0, chacha20poly1305.New}, true
	}
	return suite12{}, false
}

// protection12 protects epoch 1 of 1.2 in one direction (RFC 6347 section 4.1.2).
type protection12 struct {
	suite suite12
	aead  aead
	iv    [nonceSize]byte
}

func newProtection12(s suite12, key, iv []byte) (*protection12, error) {
	p := &protection12{suite: s}
	copy(p.iv[:], iv)
	var err error
	p.aead, err = s.aead(key)
	return p, err
}

// keys12 derives both directions (RFC 5246 section 6.3).
func keys12(s suite12, master, clientRandom, serverRandom []byte) (client, server *protection12, err error) {
	block := prf(master, "key expansion", 2*(s.keySize+s.ivSize), serverRandom, clientRandom)
	take := func(n int) []byte {
		b := block[:n]
		block = block[n:]
		return b
	}
	clientKey, serverKey := take(s.keySize), take(s.keySize)
	if client, err = newProtection12(s, clientKey, take(s.ivSize)); err != nil {
		return nil, nil, err
	}
	server, err = newProtection12(s, serverKey, take(s.ivSize))
	return client, server, err
}

func (p *protection12) overhead() int { return plainHeaderSize + p.suite.explicit + tagSize }

// prepare sets the nonce, which holds epoch and sequence number, and what is
// authenticated beside the payload. number is both as they stand in the header.
func (p *protection12) prepare(s *scratch, typ uint8, number uint64, n int) {
	s.nonce = p.iv
	at := s.nonce[nonceSize-8:]
	binary.BigEndian.PutUint64(at, binary.BigEndian.Uint64(at)^number)
	binary.BigEndian.PutUint64(s.aad[:], number)
	s.aad[8] = typ
	binary.BigEndian.PutUint16(s.aad[9:], recordVersion)
	binary.BigEndian.PutUint16(s.aad[11:], uint16(n))
}

func (p *protection12) seal(dst []byte, s *scratch, typ uint8, seq uint64, payload []byte) []byte {
	h := plainHeader{typ: typ, version: recordVersion, epoch: 1, seq: seq}
	dst = appendPlainHeader(dst, h, p.suite.explicit+len(payload)+tagSize)
	number := 1<<48 | seq
	p.prepare(s, typ, number, len(payload))
	if p.suite.explicit > 0 {
		dst = binary.BigEndian.AppendUint64(dst, number)
	}
	return p.aead.Seal(dst, s.nonce[:], payload, s.aad[:])
}

// readOld is the receiving side of epoch 1 of 1.2.
type readOld struct {
	*protection12
	seen window
}

// open decrypts a record in its place.
func (r *readOld) open(s *scratch, h plainHeader, body []byte) (record, bool) {
	if h.epoch != 1 || h.version != recordVersion || len(body) < r.suite.explicit+tagSize || !r.seen.fresh(h.seq) {
		return record{}, false
	}
	payload := body[r.suite.explicit:]
	r.prepare(s, h.typ, 1<<48|h.seq, len(payload)-tagSize)
	if r.suite.explicit > 0 {
		copy(s.nonce[nonceSize-8:], body) // Whatever the peer counts in.
	}
	plain, err := r.aead.Open(payload[:0], s.nonce[:], payload, s.aad[:])
	if err != nil || len(plain) > maxPayload {
		return record{}, false
	}
	r.seen.mark(h.seq)
	return record{recordNumber{1, h.seq}, h.typ, plain}, true
}

// sum12 is the hash of 1.2's suites.
func sum12(b []byte) []byte {
	sum := sha256.Sum256(b)
	return sum[:]
}
