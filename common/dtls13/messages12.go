package dtls13

import (
	"golang.org/x/crypto/cryptobyte"
)

// parseHelloVerifyRequest returns the cookie (RFC 6347 section 4.2.1).
func parseHelloVerifyRequest(b []byte) ([]byte, error) {
	s := cryptobyte.String(b)
	var version uint16
	var cookie cryptobyte.String
	if !s.ReadUint16(&version) || !s.ReadUint8LengthPrefixed(&cookie) || !s.Empty() || cookie.Empty() {
		return nil, fault(alertDecodeError, "hello verify request")
	}
	return cookie, nil
}

// marshal12 builds a ServerHello of 1.2 with extensions in the given order.
func (h *serverHello) marshal12(order []uint16) []byte {
	var b cryptobyte.Builder
	h.begin(&b)
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, id := range order {
			switch {
			case id == extEMS && h.ems:
				addExtension(b, id, func(*cryptobyte.Builder) {})
			case id == extRenegotiation && h.reneg:
				addExtension(b, id, func(b *cryptobyte.Builder) { b.AddUint8(0) })
			case id == extPointFormats && h.formats:
				addExtension(b, id, func(b *cryptobyte.Builder) { b.AddBytes([]byte{1, 0}) })
			case id == extUseSRTP && h.srtp != 0:
				addExtension(b, id, func(b *cryptobyte.Builder) { addSRTP(b, h.srtp) })
			}
		}
	})
	return b.BytesOrPanic()
}

// parseCertificate12 returns the leaf, nil if there is none (RFC 5246 section
// 7.4.2).
func parseCertificate12(b []byte) ([]byte, error) {
	s := cryptobyte.String(b)
	var list, der cryptobyte.String
	if !s.ReadUint24LengthPrefixed(&list) || !s.Empty() {
		return nil, fault(alertDecodeError, "certificate")
	}
	if list.Empty() {
		return nil, nil
	}
	if !list.ReadUint24LengthPrefixed(&der) || der.Empty() {
		return nil, fault(alertDecodeError, "entry of certificate")
	}
	return der, nil
}

func certificate12(der []byte) []byte {
	var b cryptobyte.Builder
	b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) {
		b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(der) })
	})
	return b.BytesOrPanic()
}

// serverKeyExchange is that of ECDHE (RFC 8422 section 5.4).
type serverKeyExchange struct {
	share     keyShare
	params    []byte // what is signed, beside the randoms
	alg       uint16
	signature []byte
}

// namedCurve is the only kind of curve (RFC 8422 section 5.4).
const namedCurve = 3

func parseServerKeyExchange(b []byte) (x serverKeyExchange, err error) {
	s := cryptobyte.String(b)
	var kind uint8
	var public, signature cryptobyte.String
	if !s.ReadUint8(&kind) || kind != namedCurve || !s.ReadUint16(&x.share.group) || !s.ReadUint8LengthPrefixed(&public) || public.Empty() {
		return x, fault(alertDecodeError, "server key exchange")
	}
	x.share.data, x.params = public, b[:len(b)-len(s)]
	if !s.ReadUint16(&x.alg) || !s.ReadUint16LengthPrefixed(&signature) || !s.Empty() {
		return x, fault(alertDecodeError, "signature of server key exchange")
	}
	x.signature = signature
	return x, nil
}

// ecdheParams is what a server signs, beside the randoms.
func ecdheParams(share keyShare) []byte {
	var b cryptobyte.Builder
	b.AddUint8(namedCurve)
	b.AddUint16(share.group)
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(share.data) })
	return b.BytesOrPanic()
}

// parseClientKeyExchange returns the client's public key (RFC 8422 section 5.7).
func parseClientKeyExchange(b []byte) ([]byte, error) {
	s := cryptobyte.String(b)
	var public cryptobyte.String
	if !s.ReadUint8LengthPrefixed(&public) || !s.Empty() || public.Empty() {
		return nil, fault(alertDecodeError, "client key exchange")
	}
	return public, nil
}

func clientKeyExchange(public []byte) []byte {
	var b cryptobyte.Builder
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(public) })
	return b.BytesOrPanic()
}

// parseCertificateRequest12 returns the signature algorithms (RFC 5246 section
// 7.4.4).
func parseCertificateRequest12(b []byte) ([]uint16, error) {
	s := cryptobyte.String(b)
	var types, algs, names cryptobyte.String
	if !s.ReadUint8LengthPrefixed(&types) || !s.ReadUint16LengthPrefixed(&algs) || !s.ReadUint16LengthPrefixed(&names) || !s.Empty() {
		return nil, fault(alertDecodeError, "certificate request")
	}
	list, ok := uint16List(algs)
	if !ok {
		return nil, fault(alertDecodeError, "certificate request")
	}
	return list, nil
}

func certificateRequest12(types []uint8, algs []uint16) []byte {
	var b cryptobyte.Builder
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(types) })
	addUint16s(&b, algs)
	b.AddUint16(0) // names of authorities
	return b.BytesOrPanic()
}
