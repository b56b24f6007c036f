package messages

import "strings"

// A RelayPattern is a rule on the host names of relays (spec section 3.4):
// "^name$" is that name alone, "name$" every name that ends so. It knows no
// wildcards and does not fold case. Without "^" nothing keeps "example.com$"
// from accepting "otherexample.com": write ".example.com$" or
// "^example.com$". The zero value accepts every name.
type RelayPattern struct {
	text  string
	exact bool
}

// ParseRelayPattern reads a pattern as it stands on the wire, where the closing
// "$" may be missing. Every text is a pattern.
func ParseRelayPattern(text string) RelayPattern {
	text, exact := strings.CutPrefix(strings.TrimSuffix(text, "$"), "^")
	return RelayPattern{text: text, exact: exact}
}

// ValidRelayPattern reports whether an operator may give text as a pattern: it
// must end with "$".
func ValidRelayPattern(text string) bool {
	return strings.HasSuffix(text, "$")
}

// Matches reports whether p accepts host.
func (p RelayPattern) Matches(host string) bool {
	if p.exact {
		return host == p.text
	}
	return strings.HasSuffix(host, p.text)
}

// Covers reports whether p accepts every name that q accepts.
func (p RelayPattern) Covers(q RelayPattern) bool {
	if p.exact {
		return q.exact && q.text == p.text
	}
	return strings.HasSuffix(q.text, p.text)
}

// String returns p in the form operators write, with the closing "$".
func (p RelayPattern) String() string {
	if p.exact {
		return "^" + p.text + "$"
	}
	return p.text + "$"
}
