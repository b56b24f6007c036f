// SPDX-FileCopyrightText: 2026 The Pion community <https://pion.ly>
// SPDX-License-Identifier: MIT

package sctp

import "crypto/rand"

// This file is not in the original. It lets INIT and INIT-ACK chunks look like
// those of another implementation, whose sizes show although they are encrypted.

// InitShape is what INIT and INIT-ACK chunks carry. The zero value is the
// original's.
type InitShape struct {
	// Window is the receiver window that INIT and INIT-ACK tell of. SACKs tell
	// of the real one, WithMaxReceiveBufferSize. 0 means the real one.
	Window uint32

	// ForwardTSN adds the Forward-TSN-Supported parameter (RFC 3758 section
	// 3.1), which the list of supported extensions makes needless.
	ForwardTSN bool

	// Cookie is the size of the state cookie, 0 for the original's, and
	// CookiePrefix what it begins with. The rest is random, 16 bytes at least.
	Cookie       int
	CookiePrefix string
}

// WithInitShape sets what INIT and INIT-ACK chunks carry.
func WithInitShape(s InitShape) AssociationOption {
	return sharedOption(func(c *Config) error {
		c.initShape = s

		return nil
	})
}

// window is the one to tell of, where real is the real one.
func (s InitShape) window(real uint32) uint32 {
	if s.Window != 0 {
		return s.Window
	}

	return real
}

// addParams adds the parameters that stand before the list of extensions.
func (s InitShape) addParams(init *chunkInitCommon) {
	if s.ForwardTSN {
		init.params = append(init.params, &paramForwardTSNSupported{})
	}
}

const minCookieRandom = 16

func (s InitShape) newCookie() (*paramStateCookie, error) {
	if s.Cookie == 0 {
		return newRandomStateCookie()
	}
	cookie := make([]byte, max(s.Cookie, len(s.CookiePrefix)+minCookieRandom))
	copy(cookie, s.CookiePrefix)
	if _, err := rand.Read(cookie[len(s.CookiePrefix):]); err != nil {
		return nil, err
	}

	return &paramStateCookie{cookie: cookie}, nil
}
