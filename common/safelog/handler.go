package safelog

import (
	"context"
	"io"
	"log"
	"log/slog"
	"sync"
	"time"
)

// Options of a Handler. The zero value scrubs, writes UTC and drops records
// below slog.LevelInfo.
type Options struct {
	Unsafe    bool         // leave addresses in
	LocalTime bool         // local time in place of UTC
	Level     slog.Leveler // least level that is written; nil: slog.LevelInfo
}

// timeFormat begins every line.
const timeFormat = "2006/01/02 15:04:05"

// A handler is an slog.Handler; see NewHandler. It does not change once made.
type handler struct {
	out    *output
	o      Options
	group  string // open groups with a dot behind each: "a.b."
	preset []byte // attributes of WithAttrs as they stand in a line
}

// An output is what a Handler and all that were derived from it share.
type output struct {
	lines sync.Pool // of *[]byte, to build lines in

	mu sync.Mutex
	w  io.Writer // guarded by mu
}

// NewHandler returns a Handler that writes one line for each record to w, each
// with one Write and never two at once:
//
//	2006/01/02 15:04:05 message key=value group.key="a value"
//
// Addresses in messages, keys and values are replaced unless o.Unsafe is set.
// Line breaks and other control characters are escaped, so that a record is a
// line whatever it holds. The level is not written. Handle returns the error of
// the Write.
func NewHandler(w io.Writer, o Options) slog.Handler {
	if o.Level == nil {
		o.Level = slog.LevelInfo
	}
	out := &output{w: w}
	out.lines.New = func() any {
		line := make([]byte, 0, 256)
		return &line
	}
	return &handler{out: out, o: o}
}

// Enabled reports whether records of this level are written.
func (h *handler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.o.Level.Level()
}

// Handle writes r.
func (h *handler) Handle(_ context.Context, r slog.Record) error {
	buf := h.out.lines.Get().(*[]byte)
	line := (*buf)[:0]
	if !r.Time.IsZero() {
		line = h.time(r.Time).AppendFormat(line, timeFormat)
		line = append(line, ' ')
	}
	line = h.appendMessage(line, r.Message)
	line = append(line, h.preset...)
	r.Attrs(func(a slog.Attr) bool {
		line = h.appendAttr(line, h.group, a)
		return true
	})
	line = append(line, '\n')
	err := h.out.write(line)
	*buf = line
	h.out.put(buf)
	return err
}

func (h *handler) time(t time.Time) time.Time {
	if h.o.LocalTime {
		return t.Local()
	}
	return t.UTC()
}

// WithAttrs returns a Handler whose lines all have attrs.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	if len(attrs) == 0 {
		return h
	}
	derived := *h
	derived.preset = append([]byte(nil), h.preset...)
	for _, a := range attrs {
		derived.preset = h.appendAttr(derived.preset, h.group, a)
	}
	return &derived
}

// WithGroup returns a Handler that puts name and a dot before the keys to come.
func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	derived := *h
	derived.group = h.group + name + "."
	return &derived
}

func (o *output) write(line []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, err := o.w.Write(line)
	return err
}

// maxPooledLine is the largest buffer kept for reuse: beyond the ordinary line,
// below one that a session description at Debug needs.
const maxPooledLine = 4096

func (o *output) put(buf *[]byte) {
	if cap(*buf) <= maxPooledLine {
		o.lines.Put(buf)
	}
}

// ErrorLog returns a log.Logger for code that knows no other, as in
// http.Server.ErrorLog. Each of its lines becomes a record at slog.LevelWarn.
func ErrorLog(l *slog.Logger) *log.Logger {
	return slog.NewLogLogger(l.Handler(), slog.LevelWarn)
}

// Discard returns a Logger that drops everything.
func Discard() *slog.Logger {
	return slog.New(slog.DiscardHandler)
}
