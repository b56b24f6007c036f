package coverttest

import "fmt"

// codings tells how the fields of a header block are encoded (RFC 7541, section
// 6), each with the first byte and the length.
func codings(block []byte) []string {
	var all []string
	for len(block) > 0 {
		first := block[0]
		kind, bits, strs := "indexed", 7, 0
		switch {
		case first&0x80 != 0:
		case first&0x40 != 0:
			kind, bits, strs = "added", 6, 1
		case first&0x20 != 0:
			kind, bits = "size", 5
		case first&0x10 != 0:
			kind, bits, strs = "never added", 4, 1
		default:
			kind, bits, strs = "not added", 4, 1
		}
		at, index := integer(block, bits)
		if strs == 1 && index == 0 {
			strs = 2 // the name too
		}
		for range strs {
			n, size := integer(block[at:], 7)
			at += n + size
		}
		if at > len(block) {
			return append(all, "cut")
		}
		if kind == "indexed" {
			kind = fmt.Sprintf("indexed %d", index)
		}
		all = append(all, fmt.Sprintf("%s, %d bytes", kind, at))
		block = block[at:]
	}
	return all
}

// integer reads an integer with a prefix of so many bits (RFC 7541, section 5.1).
func integer(b []byte, bits int) (n, value int) {
	if len(b) == 0 {
		return 0, 0
	}
	most := 1<<bits - 1
	if value = int(b[0]) & most; value < most {
		return 1, value
	}
	for n, shift := 1, 0; n < len(b) && shift < 28; n, shift = n+1, shift+7 {
		value += int(b[n]&0x7f) << shift
		if b[n]&0x80 == 0 {
			return n + 1, value
		}
	}
	return len(b), value
}
