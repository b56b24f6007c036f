package dtls13

import (
	"encoding/binary"
	"hash"
)

// Handshake types (RFC 8446 section 4, RFC 5246 section 7.4, RFC 6347 section
// 4.3.2).
const (
	msgClientHello         uint8 = 1
	msgServerHello         uint8 = 2
	msgHelloVerifyRequest  uint8 = 3
	msgNewSessionTicket    uint8 = 4
	msgEncryptedExtensions uint8 = 8
	msgCertificate         uint8 = 11
	msgServerKeyExchange   uint8 = 12
	msgCertificateRequest  uint8 = 13
	msgServerHelloDone     uint8 = 14
	msgCertificateVerify   uint8 = 15
	msgClientKeyExchange   uint8 = 16
	msgFinished            uint8 = 20
	msgKeyUpdate           uint8 = 24
	msgMessageHash         uint8 = 254
)

// msgHeaderSize is the header of a handshake message and of a fragment of one
// (RFC 9147 section 5.2).
const msgHeaderSize = 12

// maxMessage bounds a handshake message. The longest of a browser's, a hello with
// a hybrid key share, has 1.5 kB; a certificate may have an RSA key.
const maxMessage = 1 << 14

// A message is a handshake message.
type message struct {
	typ  uint8
	seq  uint16
	body []byte
}

// A fragment is a part of a handshake message as it stands in a record.
type fragment struct {
	typ    uint8
	seq    uint16
	length int // of the message
	offset int
	data   []byte
}

// cutFragment takes the first fragment off the payload of a record.
func cutFragment(b []byte) (f fragment, rest []byte, ok bool) {
	if len(b) < msgHeaderSize {
		return f, nil, false
	}
	f.typ = b[0]
	f.length = int(uint24(b[1:]))
	f.seq = binary.BigEndian.Uint16(b[4:])
	f.offset = int(uint24(b[6:]))
	n := int(uint24(b[9:]))
	if f.length > maxMessage || f.offset+n > f.length || len(b)-msgHeaderSize < n {
		return f, nil, false
	}
	f.data = b[msgHeaderSize : msgHeaderSize+n]
	return f, b[msgHeaderSize+n:], true
}

// appendFragment appends n bytes of a message from offset on, with their header.
func appendFragment(b []byte, m message, offset, n int) []byte {
	b = append(b, m.typ)
	b = appendUint24(b, len(m.body))
	b = binary.BigEndian.AppendUint16(b, m.seq)
	b = appendUint24(b, offset)
	b = appendUint24(b, n)
	return append(b, m.body[offset:offset+n]...)
}

func uint24(b []byte) uint32 { return uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2]) }

func appendUint24(b []byte, n int) []byte { return append(b, byte(n>>16), byte(n>>8), byte(n)) }

// A transcript is the messages of a handshake so far. They are kept, since how
// they are hashed is only known after the ServerHello: 1.3 hashes them as TLS
// would send them (RFC 9147 section 5.2), 1.2 with the whole header of a message
// in one fragment (RFC 6347 section 4.2.6).
type transcript struct {
	messages []message
}

func (t *transcript) add(m message) { t.messages = append(t.messages, m) }

// sum13 is the hash for 1.3.
func (t *transcript) sum13(h func() hash.Hash) []byte {
	sum := h()
	for _, m := range t.messages {
		sum.Write(appendUint24([]byte{m.typ}, len(m.body)))
		sum.Write(m.body)
	}
	return sum.Sum(nil)
}

// bytes12 is what 1.2 hashes.
func (t *transcript) bytes12() []byte {
	var b []byte
	for _, m := range t.messages {
		b = appendFragment(b, m, 0, len(m.body))
	}
	return b
}

// retry replaces the first ClientHello by its hash, as is done when the server
// asks for another (RFC 8446 section 4.4.1).
func (t *transcript) retry(h func() hash.Hash) {
	t.messages = []message{{typ: msgMessageHash, body: t.sum13(h)}}
}
