package safelog

import (
	"bytes"
	"io"
	"sync"
)

// maxLine bounds what a Writer keeps while it waits for the end of a line:
// more than any line we write but for a session description at Debug.
const maxLine = 64 << 10

// A Writer scrubs text that comes in pieces of any size, for libraries that
// write their log to an io.Writer. It passes on whole lines, each with one
// Write. It may be used from several goroutines.
type Writer struct {
	mu   sync.Mutex
	w    io.Writer
	line []byte // the line begun and not yet ended
}

// NewWriter returns a Writer that passes scrubbed lines on to w.
func NewWriter(w io.Writer) *Writer {
	return &Writer{w: w}
}

// Write takes all of p and passes on the lines that it completes. The error is
// that of the first of them that could not be written.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var first error
	for rest := p; len(rest) > 0; {
		end := bytes.IndexByte(rest, '\n') + 1
		whole := end > 0
		if !whole {
			end = len(rest)
		}
		if room := maxLine - len(w.line); end > room {
			end, whole = room, false
		}
		w.line = append(w.line, rest[:end]...)
		rest = rest[end:]
		if !whole && len(w.line) < maxLine {
			continue
		}
		if err := w.passLocked(whole); err != nil && first == nil {
			first = err
		}
	}
	return len(p), first
}

// Flush passes on a line that has no end yet.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.line) == 0 {
		return nil
	}
	return w.passLocked(true)
}

// passLocked passes on the line, or, if more of it is to come, as much as
// cannot be the beginning of an address.
func (w *Writer) passLocked(whole bool) error {
	end := len(w.line)
	if !whole {
		end = bytes.LastIndexFunc(w.line, isSeparator) + 1
	}
	text := Scrub(w.line[:end])
	if end == 0 {
		text, end = []byte(scrubbed), len(w.line) // no word is that long
	}
	_, err := w.w.Write(text)
	w.line = append(w.line[:0], w.line[end:]...)
	return err
}

// isSeparator reports whether r is never part of an address.
func isSeparator(r rune) bool {
	return r == ' ' || r == '\t' || r == '\n' || r == '=' || r == '"'
}
