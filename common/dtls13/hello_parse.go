package dtls13

import (
	"slices"

	"golang.org/x/crypto/cryptobyte"
)

// Extensions (RFC 8446 section 4.2, and what browsers send beside them).
const (
	extSupportedGroups uint16 = 10
	extPointFormats    uint16 = 11
	extSignatureAlgs   uint16 = 13
	extUseSRTP         uint16 = 14 // RFC 5764 section 4.1.1
	extALPN            uint16 = 16
	extEMS             uint16 = 23 // RFC 7627
	extRecordSizeLimit uint16 = 28 // RFC 8449
	extDelegated       uint16 = 34 // RFC 9345
	extVersions        uint16 = 43
	extCookie          uint16 = 44
	extPSKModes        uint16 = 45
	extKeyShare        uint16 = 51
	extRenegotiation   uint16 = 0xff01 // RFC 5746
)

// An extension is one, with its body.
type extension struct {
	id   uint16
	body cryptobyte.String
}

// maxExtensions bounds those of one message; Firefox sends 11.
const maxExtensions = 64

// readExtensions takes a block of extensions that ends s. An empty s is a block
// that was left out, which 1.2 allows.
func readExtensions(s *cryptobyte.String) ([]extension, bool) {
	if s.Empty() {
		return nil, true
	}
	var block cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&block) || !s.Empty() {
		return nil, false
	}
	return extensionList(block)
}

func extensionList(block cryptobyte.String) ([]extension, bool) {
	var all []extension
	for !block.Empty() {
		var e extension
		if !block.ReadUint16(&e.id) || !block.ReadUint16LengthPrefixed(&e.body) || len(all) == maxExtensions ||
			slices.ContainsFunc(all, func(o extension) bool { return o.id == e.id }) {
			return nil, false
		}
		all = append(all, e)
	}
	return all, true
}

// readUint16s reads a list of numbers with a length before it, that ends s.
func readUint16s(s *cryptobyte.String, wide bool) ([]uint16, bool) {
	var list cryptobyte.String
	ok := s.ReadUint16LengthPrefixed
	if !wide {
		ok = s.ReadUint8LengthPrefixed
	}
	if !ok(&list) || !s.Empty() || list.Empty() {
		return nil, false
	}
	return uint16List(list)
}

func uint16List(list cryptobyte.String) ([]uint16, bool) {
	all := make([]uint16, 0, len(list)/2)
	for !list.Empty() {
		var v uint16
		if !list.ReadUint16(&v) {
			return nil, false
		}
		all = append(all, v)
	}
	return all, true
}

// A clientHello is what counts of one.
type clientHello struct {
	version   uint16
	random    []byte
	sessionID []byte
	cookie    []byte // RFC 6347 section 4.2.1
	suites    []uint16

	versions    []uint16
	groups      []uint16
	sigAlgs     []uint16
	srtp        []uint16
	shares      []keyShare
	alpn        []string
	cookie13    []byte
	ems, reneg  bool
	recordLimit bool
	formats     bool
	extensions  []uint16 // ids, in order
}

// parseClientHello reads the body of a ClientHello (RFC 9147 section 5.3).
func parseClientHello(b []byte) (h clientHello, ok bool) {
	s := cryptobyte.String(b)
	var session, cookie, suites, compression cryptobyte.String
	if !s.ReadUint16(&h.version) || !s.ReadBytes(&h.random, 32) || !s.ReadUint8LengthPrefixed(&session) || len(session) > 32 ||
		!s.ReadUint8LengthPrefixed(&cookie) || !s.ReadUint16LengthPrefixed(&suites) || suites.Empty() ||
		!s.ReadUint8LengthPrefixed(&compression) || !slices.Contains(compression, 0) {
		return h, false
	}
	h.sessionID, h.cookie = session, cookie
	if h.suites, ok = uint16List(suites); !ok {
		return h, false
	}
	extensions, ok := readExtensions(&s)
	if !ok {
		return h, false
	}
	for _, e := range extensions {
		h.extensions = append(h.extensions, e.id)
		if !h.extension(e.id, e.body) {
			return h, false
		}
	}
	return h, true
}

func (h *clientHello) extension(id uint16, b cryptobyte.String) (ok bool) {
	switch id {
	case extVersions:
		h.versions, ok = readUint16s(&b, false)
	case extSupportedGroups:
		h.groups, ok = readUint16s(&b, true)
	case extSignatureAlgs:
		h.sigAlgs, ok = readUint16s(&b, true)
	case extUseSRTP:
		h.srtp, ok = readSRTP(b)
	case extKeyShare:
		h.shares, ok = readShares(b)
	case extALPN:
		h.alpn, ok = readALPN(b)
	case extCookie:
		var cookie cryptobyte.String
		ok = b.ReadUint16LengthPrefixed(&cookie) && b.Empty() && len(cookie) > 0
		h.cookie13 = cookie
	case extEMS:
		h.ems, ok = true, b.Empty()
	case extRenegotiation:
		// Its body is empty in a first handshake; there is no other here.
		h.reneg, ok = true, len(b) == 1 && b[0] == 0
	case extRecordSizeLimit:
		h.recordLimit, ok = true, len(b) == 2
	case extPointFormats:
		h.formats, ok = true, len(b) >= 2
	default:
		ok = true
	}
	return ok
}

func readSRTP(b cryptobyte.String) ([]uint16, bool) {
	var list, mki cryptobyte.String
	if !b.ReadUint16LengthPrefixed(&list) || list.Empty() || !b.ReadUint8LengthPrefixed(&mki) || !b.Empty() {
		return nil, false
	}
	return uint16List(list)
}

// maxShares bounds the key shares of a hello; a browser sends 2.
const maxShares = 8

func readShares(b cryptobyte.String) ([]keyShare, bool) {
	var list cryptobyte.String
	if !b.ReadUint16LengthPrefixed(&list) || !b.Empty() {
		return nil, false
	}
	all := []keyShare{} // None is allowed: the client wants to be asked.
	for !list.Empty() {
		var k keyShare
		var data cryptobyte.String
		if !list.ReadUint16(&k.group) || !list.ReadUint16LengthPrefixed(&data) || data.Empty() || len(all) == maxShares ||
			slices.ContainsFunc(all, func(o keyShare) bool { return o.group == k.group }) {
			return nil, false
		}
		k.data = data
		all = append(all, k)
	}
	return all, true
}

func readALPN(b cryptobyte.String) ([]string, bool) {
	var list cryptobyte.String
	if !b.ReadUint16LengthPrefixed(&list) || list.Empty() || !b.Empty() {
		return nil, false
	}
	var all []string
	for !list.Empty() {
		var name cryptobyte.String
		if !list.ReadUint8LengthPrefixed(&name) || name.Empty() {
			return nil, false
		}
		all = append(all, string(name))
	}
	return all, true
}
