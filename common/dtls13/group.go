package dtls13

import (
	"crypto/ecdh"
	"crypto/mlkem"
	"crypto/rand"
	"errors"
)

// Groups (RFC 8446 section 4.2.7, draft-ietf-tls-ecdhe-mlkem).
const (
	groupHybrid uint16 = 0x11ec // X25519MLKEM768
	groupX25519 uint16 = 0x001d
	groupP256   uint16 = 0x0017
	groupP384   uint16 = 0x0018
)

var errKeyShare = errors.New("dtls13: key share is not of its group")

// curve returns the Diffie-Hellman part of a group, or nil if there is none.
func curve(group uint16) ecdh.Curve {
	switch group {
	case groupHybrid, groupX25519:
		return ecdh.X25519()
	case groupP256:
		return ecdh.P256()
	case groupP384:
		return ecdh.P384()
	}
	return nil
}

// A keyShare is an entry of the key_share extension.
type keyShare struct {
	group uint16
	data  []byte
}

// A privateShare is what belongs to a share of ours.
type privateShare struct {
	keyShare
	dh  *ecdh.PrivateKey
	kem *mlkem.DecapsulationKey768 // of the hybrid
}

// newShare makes a key for a group. The hybrid's share is the encapsulation key,
// then X25519's.
func newShare(group uint16) (privateShare, error) {
	s := privateShare{keyShare: keyShare{group: group}}
	c := curve(group)
	if c == nil {
		return s, errKeyShare
	}
	var err error
	if s.dh, err = c.GenerateKey(rand.Reader); err != nil {
		return s, err
	}
	if group == groupHybrid {
		if s.kem, err = mlkem.GenerateKey768(); err != nil {
			return s, err
		}
		s.data = s.kem.EncapsulationKey().Bytes()
	}
	s.data = append(s.data, s.dh.PublicKey().Bytes()...)
	return s, nil
}

// open computes the secret out of the share that a server answered with.
func (s privateShare) open(answer []byte) ([]byte, error) {
	var secret []byte
	if s.kem != nil {
		if len(answer) < mlkem.CiphertextSize768 {
			return nil, errKeyShare
		}
		var err error
		if secret, err = s.kem.Decapsulate(answer[:mlkem.CiphertextSize768]); err != nil {
			return nil, errKeyShare
		}
		answer = answer[mlkem.CiphertextSize768:]
	}
	return agree(secret, s.dh, answer)
}

// answerShare makes a server's share for a client's, and the secret.
func answerShare(offer keyShare) (answer, secret []byte, err error) {
	c := curve(offer.group)
	if c == nil {
		return nil, nil, errKeyShare
	}
	data := offer.data
	if offer.group == groupHybrid {
		if len(data) < mlkem.EncapsulationKeySize768 {
			return nil, nil, errKeyShare
		}
		kem, err := mlkem.NewEncapsulationKey768(data[:mlkem.EncapsulationKeySize768])
		if err != nil {
			return nil, nil, errKeyShare
		}
		secret, answer = kem.Encapsulate()
		data = data[mlkem.EncapsulationKeySize768:]
	}
	dh, err := c.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	secret, err = agree(secret, dh, data)
	return append(answer, dh.PublicKey().Bytes()...), secret, err
}

// agree appends the Diffie-Hellman secret to secret.
func agree(secret []byte, key *ecdh.PrivateKey, peer []byte) ([]byte, error) {
	public, err := key.Curve().NewPublicKey(peer)
	if err != nil {
		return nil, errKeyShare
	}
	dh, err := key.ECDH(public)
	if err != nil {
		return nil, errKeyShare
	}
	return append(secret, dh...), nil
}
