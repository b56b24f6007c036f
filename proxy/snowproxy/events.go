package snowproxy

import (
	"context"
	"log/slog"

	"flurry/common/messages"
)

// EventKind says what happened.
type EventKind int

// The events of spec section 11.1, and RelayUnreachable, which an operator must
// hear of because no client is served until it is over.
const (
	EventStarting         EventKind = iota + 1
	EventNATType                    // known for the first time, or changed; Event.NAT
	EventClientConnected            // a client's data channel is open
	EventConnectionOver             // a connected client is gone
	EventConnectionFailed           // the answer was delivered, but no channel opened
	EventSummary                    // Event.Summary
	EventRelayUnreachable           // the default relay cannot be reached: polling pauses; Event.Err
)

// An Event is something that happened to a Proxy.
type Event struct {
	Kind    EventKind
	NAT     messages.NATType // of EventNATType
	Summary Summary          // of EventSummary
	Err     error            // of EventRelayUnreachable; of EventConnectionOver when it did not end by itself
}

// String returns the text that logs show and frontends match.
func (e Event) String() string {
	switch e.Kind {
	case EventStarting:
		return "Proxy starting"
	case EventNATType:
		return "NAT type: " + string(e.NAT)
	case EventClientConnected:
		return "client connected"
	case EventConnectionOver:
		return "Proxy connection closed"
	case EventConnectionFailed:
		return "Failed to connect to the client"
	case EventSummary:
		return e.Summary.String()
	case EventRelayUnreachable:
		return "connection failed: the relay cannot be reached, not polling for clients until it can"
	}
	return "unknown event"
}

// Level is Info for events that the deployed proxy shows without being asked
// for more, Warn for those that keep it from serving, and Debug for the rest.
func (e Event) Level() slog.Level {
	switch e.Kind {
	case EventStarting, EventNATType, EventSummary:
		return slog.LevelInfo
	case EventRelayUnreachable:
		return slog.LevelWarn
	}
	return slog.LevelDebug
}

// emit logs e and hands it to the listener.
func (p *Proxy) emit(e Event) {
	if e.Kind != EventSummary || !p.cfg.NoSummaryLog {
		var attrs []slog.Attr
		if e.Err != nil {
			attrs = append(attrs, slog.Any("err", e.Err))
		}
		p.log.LogAttrs(context.Background(), e.Level(), e.String(), attrs...)
	}
	if p.cfg.OnEvent != nil {
		p.cfg.OnEvent(e)
	}
}
