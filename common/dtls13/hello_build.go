package dtls13

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"golang.org/x/crypto/cryptobyte"
)

// A hello is what a client's hellos are made of. The second of a connection
// differs from the first in the cookie and, after a HelloRetryRequest, the share.
type hello struct {
	random   []byte
	order    []uint16 // of the extensions
	shares   []privateShare
	cookie   []byte // of a HelloVerifyRequest
	cookie13 []byte // of a HelloRetryRequest
}

// newHello draws what is random.
func (p Profile) newHello(random io.Reader) (*hello, error) {
	h := &hello{random: make([]byte, 32), order: slices.Clone(p.order)}
	if _, err := io.ReadFull(random, h.random); err != nil {
		return nil, fmt.Errorf("dtls13: random of hello: %w", err)
	}
	if p.permute {
		if err := shuffle(random, h.order); err != nil {
			return nil, fmt.Errorf("dtls13: order of extensions: %w", err)
		}
	}
	for _, g := range p.shares {
		s, err := newShare(g)
		if err != nil {
			return nil, fmt.Errorf("dtls13: key share: %w", err)
		}
		h.shares = append(h.shares, s)
	}
	return h, nil
}

// shuffle permutes list, each order being as likely as any other but for 2^-60.
func shuffle(random io.Reader, list []uint16) error {
	var b [8]byte
	for i := len(list) - 1; i > 0; i-- {
		if _, err := io.ReadFull(random, b[:]); err != nil {
			return err
		}
		j := int(binary.BigEndian.Uint64(b[:]) % uint64(i+1))
		list[i], list[j] = list[j], list[i]
	}
	return nil
}

// clientHello builds the body of a ClientHello (RFC 9147 section 5.3).
func (p Profile) clientHello(h *hello) []byte {
	var b cryptobyte.Builder
	b.AddUint16(Version12)
	b.AddBytes(h.random)
	b.AddUint8(0) // session id
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(h.cookie) })
	addUint16s(&b, p.suites)
	b.AddUint16(0x0100) // no compression
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, id := range h.order {
			addExtension(b, id, func(b *cryptobyte.Builder) { p.helloExtension(b, id, h) })
		}
		if len(h.cookie13) > 0 {
			addExtension(b, extCookie, func(b *cryptobyte.Builder) {
				b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(h.cookie13) })
			})
		}
	})
	return b.BytesOrPanic()
}

func (p Profile) helloExtension(b *cryptobyte.Builder, id uint16, h *hello) {
	switch id {
	case extVersions:
		b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) {
			for _, v := range p.versions {
				b.AddUint16(v)
			}
		})
	case extPSKModes:
		b.AddBytes([]byte{1, 1}) // psk_dhe_ke
	case extSupportedGroups:
		addUint16s(b, p.groups)
	case extRenegotiation:
		b.AddUint8(0)
	case extPointFormats:
		b.AddBytes([]byte{1, 0}) // uncompressed
	case extSignatureAlgs:
		addUint16s(b, p.sigAlgs)
	case extKeyShare:
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			for _, s := range h.shares {
				b.AddUint16(s.group)
				b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(s.data) })
			}
		})
	case extUseSRTP:
		addSRTP(b, p.srtp...)
	case extALPN:
		addALPN(b, p.alpn...)
	case extDelegated:
		addUint16s(b, []uint16{0x0403, 0x0503, 0x0603, 0x0203})
	case extRecordSizeLimit:
		b.AddUint16(maxPayload + 1) // and the byte of the type (RFC 8449 section 4)
	}
}

func addSRTP(b *cryptobyte.Builder, profiles ...uint16) {
	addUint16s(b, profiles)
	b.AddUint8(0) // no MKI
}

func addALPN(b *cryptobyte.Builder, names ...string) {
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, n := range names {
			b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(n)) })
		}
	})
}

// encryptedExtensions builds a server's (RFC 8446 section 4.3.1).
func (p Profile) encryptedExtensions(client clientHello, srtp uint16, alpn string) []byte {
	var b cryptobyte.Builder
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		if p.fullEE {
			p.addFull(b, client, alpn)
		}
		if srtp != 0 {
			addExtension(b, extUseSRTP, func(b *cryptobyte.Builder) { addSRTP(b, srtp) })
		}
	})
	return b.BytesOrPanic()
}

// addFull adds what Firefox tells beside use_srtp: the groups that both have, and
// the answers to two extensions.
func (p Profile) addFull(b *cryptobyte.Builder, client clientHello, alpn string) {
	var common []uint16
	for _, g := range p.groups {
		if slices.Contains(client.groups, g) {
			common = append(common, g)
		}
	}
	addExtension(b, extSupportedGroups, func(b *cryptobyte.Builder) { addUint16s(b, common) })
	if alpn != "" {
		addExtension(b, extALPN, func(b *cryptobyte.Builder) { addALPN(b, alpn) })
	}
	if client.recordLimit {
		addExtension(b, extRecordSizeLimit, func(b *cryptobyte.Builder) { b.AddUint16(maxPayload + 1) })
	}
}
