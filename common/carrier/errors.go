package carrier

import "errors"

// Errors that callers branch on.
var (
	// ErrTooLong is what Send returns for a message above Traits.MaxMessage.
	ErrTooLong = errors.New("carrier: message too long")

	// ErrClosed is what Send and Recv return after Close by this end.
	ErrClosed = errors.New("carrier: closed")
)
