package rtc

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// ParseCovertDTLS gives the options of deployed programs for what a DTLS
// ClientHello looks like (spec section 6) a meaning here, where the whole
// connection has one. config is a word in upper or lower case, fingerprint a
// ClientHello of DTLS 1.2 in hex, which wins; both may be empty.
//
//	mimic                      Chromium, the newest browser of those here
//	randomize, randomizemimic  one of the browsers, at random
//	disable                    pion/webrtc, without disguise
//	none given                 one of the browsers, at random
//	any fingerprint            Chromium
//
// The hello itself is never sent: with any in it a connection of DTLS 1.2 is that
// of no browser of today.
func ParseCovertDTLS(config, fingerprint string) (Profile, error) {
	var p Profile
	switch strings.ToLower(config) {
	case "", "randomize", "randomizemimic":
		p = AnyBrowser
	case "mimic":
		p = Chromium
	case "disable":
		p = Pion
	default:
		return "", fmt.Errorf("covertdtls-config %q is none of mimic, randomize, randomizemimic and disable", config)
	}
	if fingerprint != "" {
		if err := checkHello(fingerprint); err != nil {
			return "", fmt.Errorf("covertdtls-fingerprint: %w", err)
		}
		p = Chromium
	}
	return p, nil
}

// shortestHello is a ClientHello's body with version, random, empty session id
// and cookie, one cipher suite and one compression method (RFC 6347 section 4.2.1).
const shortestHello = 2 + 32 + 1 + 1 + 2 + 2 + 1 + 1

func checkHello(text string) error {
	hello, err := hex.DecodeString(text)
	switch {
	case err != nil:
		return errors.New("not hex digits in pairs")
	case len(hello) < shortestHello || hello[0] != 0xfe || hello[1] != 0xfd:
		return errors.New("not the body of a DTLS 1.2 ClientHello, which begins with fefd")
	}
	return nil
}
