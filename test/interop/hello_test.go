package interop

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	utls "github.com/refraction-networking/utls"
	"golang.org/x/crypto/cryptobyte"
)

// Extension types, IANA "TLS ExtensionType Values"; 0xfe0d is encrypted_client_hello.
const (
	extServerName        = 0
	extSupportedGroups   = 10
	extSignatures        = 13
	extPadding           = 21
	extSupportedVersions = 43
	extKeyShare          = 51
	extECH               = 0xfe0d
)

// describeHello writes down all that identifies the maker of a ClientHello message, one fact a line, and nothing that
// differs from one connection of his to the next: not the random numbers, keys and session identifiers, nor the values
// drawn for GREASE (RFC 8701).
func describeHello(message []byte) ([]string, error) {
	s := cryptobyte.String(message)
	var body, session, suites, compression, extensions cryptobyte.String
	var kind uint8
	var version uint16
	if !s.ReadUint8(&kind) || !s.ReadUint24LengthPrefixed(&body) || kind != messageClientHello ||
		!body.ReadUint16(&version) || !body.Skip(32) || !body.ReadUint8LengthPrefixed(&session) ||
		!body.ReadUint16LengthPrefixed(&suites) || !body.ReadUint8LengthPrefixed(&compression) ||
		!body.ReadUint16LengthPrefixed(&extensions) || !body.Empty() {
		return nil, errors.New("not a ClientHello")
	}
	facts := []string{
		fmt.Sprintf("version %04x", version),
		fmt.Sprintf("session id of %d bytes", len(session)),
		"cipher suites " + values(suites),
		fmt.Sprintf("compression %x", []byte(compression)),
	}
	for !extensions.Empty() {
		var number uint16
		var data cryptobyte.String
		if !extensions.ReadUint16(&number) || !extensions.ReadUint16LengthPrefixed(&data) {
			return nil, errors.New("bad extensions")
		}
		fact, err := describeExtension(number, data)
		if err != nil {
			return nil, err
		}
		facts = append(facts, fact)
	}
	return facts, nil
}

func describeExtension(number uint16, data cryptobyte.String) (string, error) {
	name := "extension " + value(number)
	var list cryptobyte.String
	switch {
	case isGREASE(number):
		return name, nil
	case number == extPadding:
		return name, nil // Its length makes up for that of others.
	case number == extECH:
		return name, nil // Of random bytes, but for a client that knows a key.
	case (number == extSupportedGroups || number == extSignatures) && data.ReadUint16LengthPrefixed(&list):
		return name + " " + values(list), nil
	case number == extSupportedVersions && data.ReadUint8LengthPrefixed(&list):
		return name + " " + values(list), nil
	case number == extKeyShare && data.ReadUint16LengthPrefixed(&list):
		for !list.Empty() {
			var group uint16
			var key cryptobyte.String
			if !list.ReadUint16(&group) || !list.ReadUint16LengthPrefixed(&key) {
				return "", errors.New("bad key shares")
			}
			name += fmt.Sprintf(" %s (%d bytes)", value(group), len(key))
		}
		return name, nil
	default:
		return fmt.Sprintf("%s %x", name, []byte(data)), nil
	}
}

// values writes down a list of two-byte values.
func values(list cryptobyte.String) string {
	var all []string
	for b := []byte(list); len(b) >= 2; b = b[2:] {
		all = append(all, value(binary.BigEndian.Uint16(b)))
	}
	return strings.Join(all, " ")
}

func value(v uint16) string {
	if isGREASE(v) {
		return "GREASE"
	}
	return fmt.Sprintf("%04x", v)
}

func isGREASE(v uint16) bool { return v&0x0f0f == 0x0a0a && v>>8 == v&0xff }

// sameHello compares two descriptions. Browsers that shuffle their extensions are compared without regard to order.
func sameHello(a, b []string, shuffled bool) bool {
	if shuffled {
		a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	}
	return slices.Equal(a, b)
}

// TestDescribeHello checks that the descriptions tell browsers apart, and nothing else.
func TestDescribeHello(t *testing.T) {
	describe := func(id utls.ClientHelloID, sni string) []string {
		facts, err := describeHello(helloOf(t, id, sni))
		if err != nil {
			t.Fatal(err)
		}
		return facts
	}
	firefox, chrome := describe(utls.HelloFirefox_Auto, "a.example"), describe(utls.HelloChrome_Auto, "a.example")
	if !sameHello(firefox, describe(utls.HelloFirefox_Auto, "a.example"), false) {
		t.Error("two hellos of one Firefox differ")
	}
	if !sameHello(chrome, describe(utls.HelloChrome_Auto, "a.example"), true) {
		t.Error("two hellos of one Chrome differ")
	}
	for name, other := range map[string][]string{
		"another browser": chrome,
		"another name":    describe(utls.HelloFirefox_Auto, "b.example"),
		"no name":         describe(utls.HelloFirefox_Auto, ""),
		"another version": describe(utls.HelloFirefox_65, "a.example"),
	} {
		if sameHello(firefox, other, true) {
			t.Errorf("%s makes no difference", name)
		}
	}
}
