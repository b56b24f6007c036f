// Package sealed closes a client's request to the broker, and the reply, to
// everyone on the way: the bridge that passes them on and the volunteers whose
// proxies carry them there see how long they are, in steps of BlockSize, and
// nothing else.
//
//	client ── PublicKey.Seal ─▶ volunteer ─▶ bridge ─▶ PrivateKey.Open ── broker
//	       ◀─ ReplyKey.Open ───                     ◀─ ReplyKey.Seal ────
//
// Requests are HPKE (RFC 9180: X25519, HKDF-SHA256, AES-128-GCM), replies are
// closed with a key that both ends draw from it, as Oblivious HTTP does (RFC
// 9458, section 4.4). The broker's public key comes to the client inside an
// ordinary reply, over its ordinary rendezvous: whoever can change it there
// reads the offers there too.
//
// On the wire (doc/wire.md, appendix D):
//
//	request   "sealed1\n", encapsulated key (32), ciphertext of the padded text
//	reply     nonce (16), ciphertext of the padded text
//	text      length (4, big endian), bytes, zeros up to a multiple of BlockSize
package sealed

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	// BlockSize is what texts are filled up to a multiple of. Offers and
	// answers take 1 to 2 KB: most requests and replies look the same, those
	// that failed among them.
	BlockSize = 2048

	// Overhead is what sealing adds to a filled up text, at most.
	Overhead = len(prefix) + encSize + tagSize

	// prefix opens a request. It is no version line (spec section 2.1), so a
	// broker that knows nothing of sealing says "unsupported message version".
	prefix = "sealed1\n"

	encSize    = 32 // encapsulated X25519 key
	tagSize    = 16 // of AES-GCM
	keySize    = 16 // of AES-128
	nonceSize  = 12 // of AES-GCM
	lengthSize = 4

	// replyNonceSize is max(Nn, Nk) of RFC 9458, section 4.4. A request that
	// is replayed gets its replies under different keys.
	replyNonceSize = 16

	info       = "flurry client poll 1"
	replyLabel = "flurry client poll reply 1"
)

// ErrSealed is what everything fails with that does not open. More is not told:
// what failed is somebody's forgery or was made with another key.
var ErrSealed = errors.New("cannot open sealed message")

// Is tells a sealed request from every other request.
func Is(request []byte) bool { return bytes.HasPrefix(request, []byte(prefix)) }

// A PrivateKey is the broker's. Its methods may be called from any goroutine.
type PrivateKey struct{ key hpke.PrivateKey }

// NewPrivateKey makes one.
func NewPrivateKey() (*PrivateKey, error) {
	key, err := hpke.DHKEM(ecdh.X25519()).GenerateKey()
	if err != nil {
		return nil, fmt.Errorf("make a sealing key: %w", err)
	}
	return &PrivateKey{key}, nil
}

// Public is the public key as ParsePublicKey reads it.
func (k *PrivateKey) Public() string {
	return base64.RawStdEncoding.EncodeToString(k.key.PublicKey().Bytes())
}

// Open opens a request and returns what its reply is to be sealed with. The
// only error is ErrSealed.
func (k *PrivateKey) Open(request []byte) (text []byte, reply *ReplyKey, err error) {
	rest, ok := bytes.CutPrefix(request, []byte(prefix))
	if !ok || len(rest) < encSize {
		return nil, nil, ErrSealed
	}
	enc, ciphertext := rest[:encSize], rest[encSize:]
	r, err := hpke.NewRecipient(enc, k.key, hpke.HKDFSHA256(), hpke.AES128GCM(), []byte(info))
	if err != nil {
		return nil, nil, ErrSealed
	}
	filled, err := r.Open(nil, ciphertext)
	if err != nil {
		return nil, nil, ErrSealed
	}
	if text, err = unfill(filled); err != nil {
		return nil, nil, err
	}
	secret, err := r.Export(replyLabel, keySize)
	if err != nil {
		return nil, nil, ErrSealed
	}
	return text, &ReplyKey{enc: bytes.Clone(enc), secret: secret}, nil
}

// A PublicKey is what clients know of a broker. Its methods may be called from
// any goroutine.
type PublicKey struct{ key hpke.PublicKey }

// ParsePublicKey reads a key as Public writes it.
func ParsePublicKey(text string) (*PublicKey, error) {
	raw, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("sealing key: %w", err)
	}
	key, err := hpke.DHKEM(ecdh.X25519()).NewPublicKey(raw)
	if err != nil {
		return nil, fmt.Errorf("sealing key: %w", err)
	}
	return &PublicKey{key}, nil
}

// String is the key as ParsePublicKey reads it.
func (k *PublicKey) String() string { return base64.RawStdEncoding.EncodeToString(k.key.Bytes()) }

// Seal closes a request and returns what opens its reply.
func (k *PublicKey) Seal(text []byte) (request []byte, reply *ReplyKey, err error) {
	enc, s, err := hpke.NewSender(k.key, hpke.HKDFSHA256(), hpke.AES128GCM(), []byte(info))
	if err != nil {
		return nil, nil, fmt.Errorf("seal: %w", err)
	}
	ciphertext, err := s.Seal(nil, fill(text))
	if err != nil {
		return nil, nil, fmt.Errorf("seal: %w", err)
	}
	secret, err := s.Export(replyLabel, keySize)
	if err != nil {
		return nil, nil, fmt.Errorf("seal: %w", err)
	}
	request = append([]byte(prefix), enc...)
	return append(request, ciphertext...), &ReplyKey{enc: enc, secret: secret}, nil
}

// A ReplyKey closes and opens the reply to one request.
type ReplyKey struct{ enc, secret []byte }

// Seal closes a reply.
func (k *ReplyKey) Seal(text []byte) ([]byte, error) {
	out := make([]byte, replyNonceSize)
	rand.Read(out) // never fails, says its documentation
	aead, nonce, err := k.aead(out)
	if err != nil {
		return nil, fmt.Errorf("seal a reply: %w", err)
	}
	return aead.Seal(out, nonce, fill(text), nil), nil
}

// Open opens a reply. The only error is ErrSealed.
func (k *ReplyKey) Open(reply []byte) ([]byte, error) {
	if len(reply) < replyNonceSize {
		return nil, ErrSealed
	}
	aead, nonce, err := k.aead(reply[:replyNonceSize])
	if err != nil {
		return nil, ErrSealed
	}
	filled, err := aead.Open(nil, nonce, reply[replyNonceSize:], nil)
	if err != nil {
		return nil, ErrSealed
	}
	return unfill(filled)
}

// aead derives key and nonce of one reply (RFC 9458, section 4.4).
func (k *ReplyKey) aead(replyNonce []byte) (cipher.AEAD, []byte, error) {
	salt := append(bytes.Clone(k.enc), replyNonce...)
	prk, err := hkdf.Extract(sha256.New, k.secret, salt)
	if err != nil {
		return nil, nil, err
	}
	key, err := hkdf.Expand(sha256.New, prk, "key", keySize)
	if err != nil {
		return nil, nil, err
	}
	nonce, err := hkdf.Expand(sha256.New, prk, "nonce", nonceSize)
	if err != nil {
		return nil, nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, nil, err
	}
	aead, err := cipher.NewGCM(block)
	return aead, nonce, err
}

// fill puts the length in front and zeros behind.
func fill(text []byte) []byte {
	blocks := (lengthSize + len(text) + BlockSize - 1) / BlockSize
	filled := make([]byte, blocks*BlockSize)
	binary.BigEndian.PutUint32(filled, uint32(len(text)))
	copy(filled[lengthSize:], text)
	return filled
}

// unfill undoes fill. What is behind the text is not looked at.
func unfill(filled []byte) ([]byte, error) {
	if len(filled) < lengthSize {
		return nil, ErrSealed
	}
	n := uint64(binary.BigEndian.Uint32(filled))
	rest := filled[lengthSize:]
	if n > uint64(len(rest)) {
		return nil, ErrSealed
	}
	return rest[:n], nil
}
