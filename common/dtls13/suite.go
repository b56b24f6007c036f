package dtls13

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"hash"

	"golang.org/x/crypto/chacha20"
	"golang.org/x/crypto/chacha20poly1305"
)

// Cipher suites of 1.3 (RFC 8446 appendix B.4).
const (
	suiteAES128 uint16 = 0x1301
	suiteAES256 uint16 = 0x1302
	suiteChaCha uint16 = 0x1303
)

const (
	tagSize    = 16 // of all AEADs here
	nonceSize  = 12
	sampleSize = 16 // of ciphertext, for the mask of the sequence number
)

// A suite is a cipher suite of 1.3.
type suite struct {
	id      uint16
	hash    func() hash.Hash
	keySize int
	aead    func(key []byte) (cipher.AEAD, error)
	masker  func(key []byte) (masker, error)
}

// suite13 returns the suite with this number.
func suite13(id uint16) (suite, bool) {
	switch id {
	case suiteAES128:
		return suite{id, sha256.New, 16, newGCM, newAESMasker}, true
	case suiteAES256:
		return suite{id, sha512.New384, 32, newGCM, newAESMasker}, true
	case suiteChaCha:
		return suite{id, sha256.New, chacha20poly1305.KeySize, chacha20poly1305.New, newChaChaMasker}, true
	}
	return suite{}, false
}

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// A masker makes the mask of a sequence number out of the first bytes of the
// ciphertext (RFC 9147 section 4.2.3). It does not keep its arguments.
type masker interface {
	mask(out, sample []byte)
}

type aesMasker struct{ block cipher.Block }

func newAESMasker(key []byte) (masker, error) {
	block, err := aes.NewCipher(key)
	return aesMasker{block}, err
}

func (m aesMasker) mask(out, sample []byte) {
	m.block.Encrypt(out[:aes.BlockSize], sample[:aes.BlockSize])
}

type chachaMasker struct{ key []byte }

func newChaChaMasker(key []byte) (masker, error) { return chachaMasker{key}, nil }

func (m chachaMasker) mask(out, sample []byte) {
	clear(out[:2])
	c, err := chacha20.NewUnauthenticatedCipher(m.key, sample[4:16])
	if err != nil {
		return // Not with these lengths.
	}
	c.SetCounter(binary.LittleEndian.Uint32(sample))
	c.XORKeyStream(out[:2], out[:2])
}
