package rtc

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/pion/logging"
)

// loggers passes what the WebRTC stack says to a slog.Logger, all at level
// Debug: none of it is for an operator to act on.
type loggers struct{ to *slog.Logger }

// NewLogger implements logging.LoggerFactory.
func (l loggers) NewLogger(scope string) logging.LeveledLogger {
	return leveled{l.to.With("scope", scope)}
}

type leveled struct{ to *slog.Logger }

func (l leveled) say(format string, args ...any) {
	if l.to.Enabled(context.Background(), slog.LevelDebug) {
		l.to.Debug(fmt.Sprintf(format, args...))
	}
}

func (l leveled) Trace(string)              {}
func (l leveled) Tracef(string, ...any)     {}
func (l leveled) Debug(m string)            { l.say("%s", m) }
func (l leveled) Debugf(f string, a ...any) { l.say(f, a...) }
func (l leveled) Info(m string)             { l.say("%s", m) }
func (l leveled) Infof(f string, a ...any)  { l.say(f, a...) }
func (l leveled) Warn(m string)             { l.say("%s", m) }
func (l leveled) Warnf(f string, a ...any)  { l.say(f, a...) }
func (l leveled) Error(m string)            { l.say("%s", m) }
func (l leveled) Errorf(f string, a ...any) { l.say(f, a...) }
