package safelog

import (
	"encoding"
	"fmt"
	"log/slog"
	"strconv"
	"unicode"
	"unicode/utf8"
)

// An Address is a log value that names a peer: see Addr.
type Address struct{ v any }

// Addr wraps anything that names a peer, an address or a host name, for use as
// the value of an attribute. It is logged as "[scrubbed]", by any Handler, and
// as the value itself by a Handler of this package with Options.Unsafe.
//
//	logger.Info("relay refused", "relay", safelog.Addr(host))
func Addr(v any) Address { return Address{v} }

// LogValue returns the scrubbed form.
func (Address) LogValue() slog.Value { return slog.StringValue(scrubbed) }

// String returns the scrubbed form.
func (Address) String() string { return scrubbed }

// GoString returns the scrubbed form.
func (Address) GoString() string { return scrubbed }

// appendAttr appends " key=value" for each leaf of a, with group before the keys.
func (h *handler) appendAttr(line []byte, group string, a slog.Attr) []byte {
	a.Value = h.resolve(a.Value)
	if a.Equal(slog.Attr{}) {
		return line
	}
	if a.Value.Kind() == slog.KindGroup {
		if a.Key != "" {
			group += a.Key + "."
		}
		for _, member := range a.Value.Group() {
			line = h.appendAttr(line, group, member)
		}
		return line
	}
	line = append(line, ' ')
	key := len(line)
	line = append(append(line, group...), a.Key...)
	line = h.finish(line, key)
	line = append(line, '=')
	value := len(line)
	line = h.appendValue(line, a.Value)
	return h.finish(line, value)
}

// resolve returns what v stands for.
func (h *handler) resolve(v slog.Value) slog.Value {
	if v.Kind() != slog.KindLogValuer {
		return v
	}
	if a, ok := v.Any().(Address); ok && h.o.Unsafe {
		v = slog.AnyValue(a.v)
	}
	return v.Resolve()
}

// appendValue appends the plain text of v, which is not a group.
func (h *handler) appendValue(line []byte, v slog.Value) []byte {
	switch v.Kind() {
	case slog.KindString:
		return append(line, v.String()...)
	case slog.KindInt64:
		return strconv.AppendInt(line, v.Int64(), 10)
	case slog.KindUint64:
		return strconv.AppendUint(line, v.Uint64(), 10)
	case slog.KindFloat64:
		return strconv.AppendFloat(line, v.Float64(), 'g', -1, 64)
	case slog.KindBool:
		return strconv.AppendBool(line, v.Bool())
	case slog.KindDuration:
		return append(line, v.Duration().String()...)
	case slog.KindTime:
		return h.time(v.Time()).AppendFormat(line, timeFormat)
	}
	return appendAny(line, v.Any())
}

func appendAny(line []byte, v any) []byte {
	switch v := v.(type) {
	case error, fmt.Stringer:
		return fmt.Append(line, v)
	case encoding.TextMarshaler:
		if text, err := v.MarshalText(); err == nil {
			return append(line, text...)
		}
	}
	return fmt.Appendf(line, "%+v", v)
}

// finish scrubs line[from:], a key or a value, and quotes it where it would
// not read as one word. Scrubbing comes first: an escape before an address
// would look like part of a word.
func (h *handler) finish(line []byte, from int) []byte {
	line = h.scrubTail(line, from)
	if !needsQuotes(line[from:]) {
		return line
	}
	text := string(line[from:])
	return strconv.AppendQuote(line[:from], text)
}

// scrubTail scrubs line[from:] on its own.
func (h *handler) scrubTail(line []byte, from int) []byte {
	if h.o.Unsafe {
		return line
	}
	if start, _ := nextAddr(line[from:], 0); start < 0 {
		return line
	}
	return append(line[:from], Scrub(line[from:])...)
}

// appendMessage appends the message of a record: free text, in which only what
// would end the line is escaped.
func (h *handler) appendMessage(line []byte, message string) []byte {
	from := len(line)
	line = append(line, message...)
	line = h.scrubTail(line, from)
	for i := from; i < len(line); i++ {
		if line[i] >= utf8.RuneSelf || line[i] < ' ' || line[i] == 0x7f {
			return appendEscaped(line[:i], string(line[i:]))
		}
	}
	return line
}

// appendEscaped appends text with its control characters escaped as in Go.
func appendEscaped(line []byte, text string) []byte {
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		switch {
		case r == utf8.RuneError && size == 1:
			line = fmt.Appendf(line, `\x%02x`, text[0])
		case unicode.IsPrint(r):
			line = append(line, text[:size]...)
		default:
			quoted := strconv.QuoteRune(r)
			line = append(line, quoted[1:len(quoted)-1]...)
		}
		text = text[size:]
	}
	return line
}

// needsQuotes reports whether text is not one word of printable characters.
func needsQuotes(text []byte) bool {
	if len(text) == 0 {
		return true
	}
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		if r == utf8.RuneError && size == 1 || r == ' ' || r == '"' || r == '=' || !unicode.IsPrint(r) {
			return true
		}
		text = text[size:]
	}
	return false
}
