// SPDX-FileCopyrightText: 2026 The Pion community <https://pion.ly>
// SPDX-License-Identifier: MIT

package ciphersuite

import (
	"encoding/binary"

	"github.com/pion/dtls/v3/pkg/protocol/recordlayer"
)

// This file is not in the original: whole records without connection IDs, in
// memory that the caller gives.

// explicitNonce is the part of a nonce that a record carries (RFC 5288 section
// 3): its epoch and sequence number, as RFC 9325 section 7.2.1 advises.
const explicitNonce = 8

// aad is a record's additional data (RFC 5246 section 6.2.3.3): epoch, sequence
// number, type, version and the length of its plaintext.
type aad [13]byte

func (a *aad) set(h recordlayer.Header, plaintext int) {
	binary.BigEndian.PutUint64(a[:], uint64(h.Epoch)<<48|h.SequenceNumber)
	a[8], a[9], a[10] = byte(h.ContentType), h.Version.Major, h.Version.Minor
	binary.BigEndian.PutUint16(a[11:], uint16(plaintext)) //nolint:gosec // G115
}

// SealRecord appends a record with payload to dst. The caller vouches that no
// two records have the same epoch and sequence number. It is not for several
// goroutines at once.
func (g *GCM) SealRecord(dst []byte, h recordlayer.Header, payload []byte) []byte {
	g.sealAAD.set(h, len(payload))
	nonce := g.sealNonce[:]
	copy(nonce, g.aead.localWriteIV[:4])
	copy(nonce[4:], g.sealAAD[:explicitNonce])

	dst = append(dst, byte(h.ContentType), h.Version.Major, h.Version.Minor)
	dst = append(dst, g.sealAAD[:8]...)
	dst = binary.BigEndian.AppendUint16(dst, uint16(explicitNonce+len(payload)+gcmTagLength)) //nolint:gosec // G115
	dst = append(dst, nonce[4:]...)

	return g.aead.localAEAD.Seal(dst, nonce, payload, g.sealAAD[:])
}

// OpenRecord appends the plaintext of record, whose header is h, to dst, which
// must not overlap it. It is not for several goroutines at once.
func (g *GCM) OpenRecord(dst []byte, h recordlayer.Header, record []byte) ([]byte, error) {
	body := record[recordlayer.FixedHeaderSize:]
	if len(body) < explicitNonce+gcmTagLength {
		return dst, errNotEnoughRoomForNonce
	}
	g.openAAD.set(h, len(body)-explicitNonce-gcmTagLength)
	nonce := g.openNonce[:]
	copy(nonce, g.aead.remoteWriteIV[:4])
	copy(nonce[4:], body)

	out, err := g.aead.remoteAEAD.Open(dst, nonce, body[explicitNonce:], g.openAAD[:])
	if err != nil {
		return dst, errDecryptPacket
	}

	return out, nil
}
