package dtls13

import (
	"golang.org/x/crypto/cryptobyte"
)

// encryptedExtensions is what counts of one (RFC 8446 section 4.3.1).
type encryptedExtensions struct {
	srtp uint16
	alpn string
}

func parseEncryptedExtensions(b []byte) (e encryptedExtensions, err error) {
	s := cryptobyte.String(b)
	list, ok := readExtensions(&s)
	if !ok || len(b) == 0 {
		return e, fault(alertDecodeError, "encrypted extensions")
	}
	for _, x := range list {
		switch x.id {
		case extUseSRTP:
			srtp, valid := readSRTP(x.body)
			if ok = valid && len(srtp) == 1; ok {
				e.srtp = srtp[0]
			}
		case extALPN:
			alpn, valid := readALPN(x.body)
			if ok = valid && len(alpn) == 1; ok {
				e.alpn = alpn[0]
			}
		}
		if !ok {
			return e, fault(alertDecodeError, "extension of encrypted extensions")
		}
	}
	return e, nil
}

// parseCertificateRequest13 reads the context and the signature algorithms (RFC
// 8446 section 4.3.2).
func parseCertificateRequest13(b []byte) (context []byte, sigAlgs []uint16, err error) {
	s := cryptobyte.String(b)
	var ctx cryptobyte.String
	if !s.ReadUint8LengthPrefixed(&ctx) {
		return nil, nil, fault(alertDecodeError, "certificate request")
	}
	list, ok := readExtensions(&s)
	for _, x := range list {
		if x.id == extSignatureAlgs && ok {
			sigAlgs, ok = readUint16s(&x.body, true)
		}
	}
	if !ok {
		return nil, nil, fault(alertDecodeError, "certificate request")
	}
	if sigAlgs == nil {
		return nil, nil, fault(alertMissingExtension, "certificate request without signature algorithms")
	}
	return ctx, sigAlgs, nil
}

func certificateRequest13(sigAlgs []uint16) []byte {
	var b cryptobyte.Builder
	b.AddUint8(0)
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		addExtension(b, extSignatureAlgs, func(b *cryptobyte.Builder) { addUint16s(b, sigAlgs) })
	})
	return b.BytesOrPanic()
}

// parseCertificate13 returns the leaf, nil if there is none (RFC 8446 section
// 4.4.2). The rest of a chain means nothing here.
func parseCertificate13(b, context []byte) ([]byte, error) {
	s := cryptobyte.String(b)
	var ctx, list cryptobyte.String
	if !s.ReadUint8LengthPrefixed(&ctx) || !s.ReadUint24LengthPrefixed(&list) || !s.Empty() {
		return nil, fault(alertDecodeError, "certificate")
	}
	if string(ctx) != string(context) {
		return nil, fault(alertIllegalParameter, "certificate of another request")
	}
	var leaf []byte
	for !list.Empty() {
		var der, block cryptobyte.String
		if !list.ReadUint24LengthPrefixed(&der) || der.Empty() || !list.ReadUint16LengthPrefixed(&block) {
			return nil, fault(alertDecodeError, "entry of certificate")
		}
		if _, ok := extensionList(block); !ok {
			return nil, fault(alertDecodeError, "extensions of certificate")
		}
		if leaf == nil {
			leaf = der
		}
	}
	return leaf, nil
}

func certificate13(context, der []byte) []byte {
	var b cryptobyte.Builder
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(context) })
	b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) {
		if len(der) == 0 {
			return
		}
		b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(der) })
		b.AddUint16(0)
	})
	return b.BytesOrPanic()
}

// parseSigned reads a CertificateVerify, which both versions have alike (RFC 8446
// section 4.4.3, RFC 5246 section 7.4.8).
func parseSigned(b []byte) (alg uint16, signature []byte, err error) {
	s := cryptobyte.String(b)
	var sig cryptobyte.String
	if !s.ReadUint16(&alg) || !s.ReadUint16LengthPrefixed(&sig) || !s.Empty() {
		return 0, nil, fault(alertDecodeError, "certificate verify")
	}
	return alg, sig, nil
}

func signed(alg uint16, signature []byte) []byte {
	var b cryptobyte.Builder
	b.AddUint16(alg)
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(signature) })
	return b.BytesOrPanic()
}

// maxACKs bounds the record numbers of one ACK that are looked at.
const maxACKs = 128

// parseACK reads an ACK (RFC 9147 section 7).
func parseACK(b []byte) ([]recordNumber, bool) {
	s := cryptobyte.String(b)
	var list cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&list) || !s.Empty() || len(list)%16 != 0 {
		return nil, false
	}
	all := make([]recordNumber, 0, min(len(list)/16, maxACKs))
	for !list.Empty() && len(all) < maxACKs {
		var n recordNumber
		if !list.ReadUint64(&n.epoch) || !list.ReadUint64(&n.seq) {
			return nil, false
		}
		all = append(all, n)
	}
	return all, true
}

func marshalACK(numbers []recordNumber) []byte {
	var b cryptobyte.Builder
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, n := range numbers {
			b.AddUint64(n.epoch)
			b.AddUint64(n.seq)
		}
	})
	return b.BytesOrPanic()
}
