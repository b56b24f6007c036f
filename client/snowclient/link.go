package snowclient

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"flurry/common/turbotunnel"
)

// maxInquiries bounds the requests of a link that have no reply yet, those that
// were given up included: twice what a Transport can have under way.
const maxInquiries = 2 * MaxPaths

// Errors of a link.
var (
	errLinkEnded    = errors.New("the bridge has closed the way to the broker")
	errLinkBusy     = errors.New("too many requests wait for the bridge")
	errBridgeFailed = errors.New("the bridge could not reach the broker, or would not")
)

// A link carries requests to the bridge, which takes them to the broker, over
// one control stream. Nobody who calls ask waits for a stream that does not move:
// a goroutine of the link's own writes.
type link struct {
	// Fixed after construction.
	control   *turbotunnel.Control
	reachable func() bool                   // whether the bridge seems to be in reach
	out       chan turbotunnel.ControlFrame // what is to be written; has room for all inquiries
	ended     chan struct{}                 // closed when run is about to return

	// Guarded by mu.
	mu   sync.Mutex
	next uint32
	open map[uint32]*inquiry // by id
	over bool
}

// An inquiry is one request.
type inquiry struct {
	taken  chan<- struct{} // told when the bridge has it; has room for one
	result chan []byte     // nil for a failure; has room for one

	// Guarded by the link's mu.
	written bool // it is too late to leave it out
	gone    bool // nobody waits for the reply any more
}

func newLink(control *turbotunnel.Control, reachable func() bool) *link {
	return &link{
		control: control, reachable: reachable,
		out:   make(chan turbotunnel.ControlFrame, 2*maxInquiries), // a request and its cancellation each
		ended: make(chan struct{}),
		open:  make(map[uint32]*inquiry),
	}
}

// run reads and writes until the stream ends or the bridge breaks the rules.
func (l *link) run() error {
	var writer sync.WaitGroup
	writer.Go(l.write)
	err := l.read()
	l.mu.Lock()
	l.over = true
	l.mu.Unlock()
	close(l.ended)
	l.control.Close()
	writer.Wait()
	return err
}

// read takes in frames.
func (l *link) read() error {
	for {
		f, err := l.control.Next()
		if err != nil {
			return err
		}
		if err := l.take(f); err != nil {
			return err
		}
	}
}

// take gives a frame to whom it is for. One that nothing was asked for is an
// error.
func (l *link) take(f turbotunnel.ControlFrame) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	q := l.open[f.ID]
	if q == nil || !q.written {
		return fmt.Errorf("%w: nothing was asked", turbotunnel.ErrControlFrame)
	}
	switch f.Kind {
	case turbotunnel.ControlTaken:
		select {
		case q.taken <- struct{}{}:
		default: // said before
		}
		return nil
	case turbotunnel.ControlReply:
		q.result <- f.Body
	case turbotunnel.ControlFailed:
		q.result <- nil
	default:
		return fmt.Errorf("%w: kind %d is a client's", turbotunnel.ErrControlFrame, f.Kind)
	}
	delete(l.open, f.ID)
	return nil
}

// write sends what there is to send, without what was given up meanwhile.
func (l *link) write() {
	for {
		select {
		case f := <-l.out:
			if !l.due(f) {
				continue
			}
			if err := l.control.Send(f); err != nil {
				return // it has closed the stream, and read ends
			}
		case <-l.ended:
			return
		}
	}
}

// due tells whether f is to be sent.
func (l *link) due(f turbotunnel.ControlFrame) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	q := l.open[f.ID]
	switch {
	case q == nil: // a cancellation that comes too late
		return false
	case f.Kind == turbotunnel.ControlRequest && q.gone:
		delete(l.open, f.ID)
		return false
	}
	q.written = true
	return true
}

// ask makes one request. When ctx ends first the bridge is told to leave it.
func (l *link) ask(ctx context.Context, request []byte, taken chan<- struct{}) ([]byte, error) {
	q := &inquiry{taken: taken, result: make(chan []byte, 1)}
	id, err := l.enter(q, request)
	if err != nil {
		return nil, err
	}
	select {
	case reply := <-q.result:
		if reply == nil {
			return nil, errBridgeFailed
		}
		return reply, nil
	case <-l.ended:
		return nil, errLinkEnded
	case <-ctx.Done():
		l.leave(id, q)
		return nil, context.Cause(ctx)
	}
}

// enter puts a request in line.
func (l *link) enter(q *inquiry, request []byte) (id uint32, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.over:
		return 0, errLinkEnded
	case len(l.open) >= maxInquiries || len(l.out) >= maxInquiries:
		return 0, errLinkBusy
	}
	l.next++
	l.open[l.next] = q
	l.out <- turbotunnel.ControlFrame{Kind: turbotunnel.ControlRequest, ID: l.next, Body: request}
	return l.next, nil
}

// leave gives a request up.
func (l *link) leave(id uint32, q *inquiry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	q.gone = true
	if q.written && l.open[id] == q {
		select {
		case l.out <- turbotunnel.ControlFrame{Kind: turbotunnel.ControlCanceled, ID: id}:
		default: // the stream stands still, the bridge may do it in vain
		}
	}
}
