package dtls13

import (
	"bytes"
	"encoding/hex"

	"golang.org/x/crypto/cryptobyte"
)

// A serverHello is a ServerHello of either version, or a HelloRetryRequest.
type serverHello struct {
	random    []byte
	sessionID []byte
	suite     uint16

	// 1.3
	version uint16   // of supported_versions; 0: none, so it is 1.2
	share   keyShare // in a HelloRetryRequest without data
	cookie  []byte

	// 1.2
	ems, reneg, formats bool
	srtp                uint16
	alpn                string
}

// retryRandom stands for the random of a HelloRetryRequest (RFC 8446 section
// 4.1.3).
func retryRandom() []byte {
	b, _ := hex.DecodeString("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
	return b
}

// downgraded is how the random of a server ends that could do 1.3 and agrees on
// 1.2 (RFC 8446 section 4.1.3), or on less.
const (
	downgraded    = "DOWNGRD\x01"
	downgradedFar = "DOWNGRD\x00"
)

func (h *serverHello) retry() bool { return bytes.Equal(h.random, retryRandom()) }

// parseServerHello reads the body of a ServerHello (RFC 9147 section 5.4).
func parseServerHello(b []byte) (h serverHello, err error) {
	s := cryptobyte.String(b)
	var version uint16
	var session cryptobyte.String
	var compression uint8
	if !s.ReadUint16(&version) || !s.ReadBytes(&h.random, 32) || !s.ReadUint8LengthPrefixed(&session) || len(session) > 32 ||
		!s.ReadUint16(&h.suite) || !s.ReadUint8(&compression) {
		return h, fault(alertDecodeError, "server hello cut short")
	}
	if version != Version12 {
		return h, fault(alertProtocolVersion, "server chose another version")
	}
	if compression != 0 {
		return h, fault(alertIllegalParameter, "server chose a compression")
	}
	h.sessionID = session
	extensions, ok := readExtensions(&s)
	if !ok {
		return h, fault(alertDecodeError, "extensions of server hello")
	}
	retry := h.retry()
	for _, e := range extensions {
		if err := h.extension(e.id, e.body, retry); err != nil {
			return h, err
		}
	}
	return h, nil
}

func (h *serverHello) extension(id uint16, b cryptobyte.String, retry bool) error {
	ok := false
	switch id {
	case extVersions:
		ok = b.ReadUint16(&h.version) && b.Empty()
	case extKeyShare:
		ok = b.ReadUint16(&h.share.group)
		if ok && !retry {
			var data cryptobyte.String
			ok = b.ReadUint16LengthPrefixed(&data) && !data.Empty()
			h.share.data = data
		}
		ok = ok && b.Empty()
	case extCookie:
		var cookie cryptobyte.String
		ok = retry && b.ReadUint16LengthPrefixed(&cookie) && !cookie.Empty() && b.Empty()
		h.cookie = cookie
	case extEMS:
		h.ems, ok = true, b.Empty()
	case extRenegotiation:
		h.reneg, ok = true, len(b) == 1 && b[0] == 0
	case extPointFormats:
		h.formats, ok = true, len(b) >= 2
	case extUseSRTP:
		list, valid := readSRTP(b)
		if ok = valid && len(list) == 1; ok {
			h.srtp = list[0]
		}
	case extALPN:
		list, valid := readALPN(b)
		if ok = valid && len(list) == 1; ok {
			h.alpn = list[0]
		}
	default:
		return fault(alertUnsupportedExtension, "server hello has an extension that was not offered")
	}
	if !ok {
		return fault(alertDecodeError, "extension of server hello")
	}
	return nil
}

// marshal13 builds one of 1.3: key_share before supported_versions, as both
// browsers do. A HelloRetryRequest is one without data in its share.
func (h *serverHello) marshal13() []byte {
	var b cryptobyte.Builder
	h.begin(&b)
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		addExtension(b, extKeyShare, func(b *cryptobyte.Builder) {
			b.AddUint16(h.share.group)
			if len(h.share.data) > 0 {
				b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(h.share.data) })
			}
		})
		addExtension(b, extVersions, func(b *cryptobyte.Builder) { b.AddUint16(Version13) })
		if len(h.cookie) > 0 {
			addExtension(b, extCookie, func(b *cryptobyte.Builder) {
				b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(h.cookie) })
			})
		}
	})
	return b.BytesOrPanic()
}

func (h *serverHello) begin(b *cryptobyte.Builder) {
	b.AddUint16(Version12)
	b.AddBytes(h.random)
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(h.sessionID) })
	b.AddUint16(h.suite)
	b.AddUint8(0)
}

func addExtension(b *cryptobyte.Builder, id uint16, body cryptobyte.BuilderContinuation) {
	b.AddUint16(id)
	b.AddUint16LengthPrefixed(body)
}

func addUint16s(b *cryptobyte.Builder, list []uint16) {
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, v := range list {
			b.AddUint16(v)
		}
	})
}
