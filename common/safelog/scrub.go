package safelog

// scrubbed stands for an address in scrubbed text.
const scrubbed = "[scrubbed]"

// Scrub replaces the IPv4 and IPv6 addresses in text, with their ports, by
// "[scrubbed]" (spec section 10.8). An address counts where it stands between
// non-word characters; colons may be percent-encoded. It does not change text,
// and returns it if there is nothing to replace.
func Scrub(text []byte) []byte {
	start, end := nextAddr(text, 0)
	if start < 0 {
		return text
	}
	out := make([]byte, 0, len(text))
	out = append(append(out, text[:start]...), scrubbed...)
	return appendScrubbed(out, text, end)
}

// appendScrubbed appends text[from:], which follows an address, to dst with its
// addresses replaced.
func appendScrubbed(dst, text []byte, from int) []byte {
	for {
		start, end := nextAddr(text, from)
		if start < 0 {
			return append(dst, text[from:]...)
		}
		dst = append(append(dst, text[from:start]...), scrubbed...)
		from = end
	}
}

// nextAddr finds the first address that begins at from or later, where from is
// the beginning of the text or the end of another address. start is -1 if there
// is none.
func nextAddr(b []byte, from int) (start, end int) {
	for i := from; i < len(b); i++ {
		if !startsAddr(b[i]) || i > from && !boundaryBefore(b, i) {
			continue
		}
		if end := addrWithPort(b, i); end > 0 {
			return i, end
		}
	}
	return -1, -1
}

// startsAddr reports whether an address can begin with c.
func startsAddr(c byte) bool {
	return isHex(c) || c == ':' || c == '[' || c == '%'
}

// addrWithPort returns the end of the address that begins at i, with its port
// if it has one, or 0.
func addrWithPort(b []byte, i int) int {
	if b[i] == '[' {
		end := ipv6(b, i+1, func(end int) bool { return end < len(b) && b[end] == ']' })
		if end == 0 {
			return 0
		}
		if end = port(b, end+1); !boundaryAfter(b, end) {
			return 0
		}
		return end
	}
	end := ipv4(b, i)
	if end == 0 || !boundaryAfter(b, end) {
		end = ipv6(b, i, func(end int) bool { return boundaryAfter(b, end) })
	}
	if end == 0 {
		return 0
	}
	return port(b, end)
}

// ipv4 returns the end of the dotted quad at i, or 0. The size of its numbers
// is not checked: what looks like an address is treated as one.
func ipv4(b []byte, i int) int {
	for group := 0; ; group++ {
		n := digits(b, i)
		if n == 0 || n > 3 {
			return 0
		}
		i += n
		if group == 3 {
			return i
		}
		if i == len(b) || b[i] != '.' {
			return 0
		}
		i++
	}
}

// ipv6 returns the end of the longest IPv6 address at i whose end satisfies
// ends, or 0.
func ipv6(b []byte, i int, ends func(int) bool) (longest int) {
	const groupsOfAddr = 8
	groups, compressed := 0, false
	if c := doubleColon(b, i); c > 0 {
		i, compressed = i+c, true
		if ends(i) {
			longest = i
		}
	}
	for groups < groupsOfAddr {
		full := groups == groupsOfAddr-2 && !compressed
		if end := ipv4(b, i); end > 0 && (full || compressed && groups < groupsOfAddr-2) && ends(end) {
			return end
		}
		n := hexDigits(b, i)
		if n == 0 || n > 4 {
			return longest
		}
		i += n
		groups++
		if (compressed && groups < groupsOfAddr || groups == groupsOfAddr && !compressed) && ends(i) {
			longest = i
		}
		if c := doubleColon(b, i); c > 0 {
			if compressed || groups == groupsOfAddr {
				return longest
			}
			i, compressed = i+c, true
			if ends(i) {
				longest = i
			}
			continue
		}
		c := colon(b, i)
		if c == 0 {
			return longest
		}
		i += c
	}
	return longest
}

// port returns the end of the port that stands at i, or i if there is none.
func port(b []byte, i int) int {
	c := colon(b, i)
	if c == 0 {
		return i
	}
	n := digits(b, i+c)
	if n == 0 || n > 5 || !boundaryAfter(b, i+c+n) {
		return i
	}
	return i + c + n
}

// colon returns the length of the colon at i, plain or percent-encoded, or 0.
func colon(b []byte, i int) int {
	switch {
	case i < len(b) && b[i] == ':':
		return 1
	case i+2 < len(b) && b[i] == '%' && b[i+1] == '3' && (b[i+2] == 'A' || b[i+2] == 'a'):
		return 3
	}
	return 0
}

// doubleColon returns the length of the two colons at i, or 0.
func doubleColon(b []byte, i int) int {
	first := colon(b, i)
	if first == 0 {
		return 0
	}
	second := colon(b, i+first)
	if second == 0 {
		return 0
	}
	return first + second
}

// digits counts the decimal digits at i, up to one more than any caller wants.
func digits(b []byte, i int) (n int) {
	for n < 6 && i+n < len(b) && '0' <= b[i+n] && b[i+n] <= '9' {
		n++
	}
	return n
}

// hexDigits counts the hexadecimal digits at i, up to one more than a group has.
func hexDigits(b []byte, i int) (n int) {
	for n < 5 && i+n < len(b) && isHex(b[i+n]) {
		n++
	}
	return n
}

// boundaryBefore reports whether an address may begin at i > 0: the character
// before it is not part of a word. A percent-encoded character is none.
func boundaryBefore(b []byte, i int) bool {
	if !isWord(b[i-1]) {
		return true
	}
	return i >= 3 && b[i-3] == '%' && isHex(b[i-2]) && isHex(b[i-1])
}

// boundaryAfter reports whether an address may end at i.
func boundaryAfter(b []byte, i int) bool {
	return i >= len(b) || !isWord(b[i])
}

// isWord reports whether c is a word character: an ASCII letter, a digit or an
// underscore. The bytes of other letters are not, so that no address hides
// behind one.
func isWord(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_'
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}
