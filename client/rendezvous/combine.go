package rendezvous

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// ErrNoMethod is returned by a combination of no methods.
var ErrNoMethod = errors.New("no rendezvous method")

// Race returns a method that starts the given ones one after the other, the next
// when the last has failed or stagger has passed, and returns the first reply.
// The others are cancelled and waited for. With a stagger of some seconds the
// spare methods cost the broker and its volunteers nothing while the first one
// works: every request that arrives takes a volunteer.
func Race(stagger time.Duration, methods ...Exchanger) Exchanger {
	return &race{stagger: stagger, methods: methods}
}

type race struct {
	stagger time.Duration
	methods []Exchanger
}

// Prepare makes the method that comes first ready, if it can.
func (r *race) Prepare() {
	if len(r.methods) > 0 {
		prepare(r.methods[0])
	}
}

// prepare makes a method ready for an Exchange, if it has a way to.
func prepare(e Exchanger) {
	if p, ok := e.(interface{ Prepare() }); ok {
		p.Prepare()
	}
}

// An outcome is what one method came to.
type outcome struct {
	reply []byte
	err   error
}

func (r *race) Exchange(ctx context.Context, request []byte) ([]byte, error) {
	ctx, cancel := context.WithCancel(ctx)
	outcomes := make(chan outcome, len(r.methods))
	running := 0
	defer func() {
		cancel()
		for ; running > 0; running-- {
			<-outcomes
		}
	}()
	next := time.NewTimer(0)
	defer next.Stop()
	var reasons []error
	for waiting := r.methods; len(waiting) > 0 || running > 0; {
		select {
		case <-next.C:
			if len(waiting) == 0 {
				continue
			}
			method := waiting[0]
			waiting = waiting[1:]
			running++
			go func() {
				reply, err := method.Exchange(ctx, request)
				outcomes <- outcome{reply, err}
			}()
			next.Reset(r.stagger)
		case o := <-outcomes:
			running--
			if o.err == nil {
				return o.reply, nil
			}
			reasons = append(reasons, o.err)
			next.Reset(0)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return nil, allFailed(reasons)
}

// InTurn returns a method that tries the given ones, the next when one has
// failed, beginning with the one that worked last.
func InTurn(methods ...Exchanger) Exchanger {
	return &inTurn{methods: methods}
}

type inTurn struct {
	methods []Exchanger
	first   atomic.Int64 // index of the method that worked last
}

// Prepare makes the method that worked last ready, if it can.
func (t *inTurn) Prepare() {
	if len(t.methods) > 0 {
		prepare(t.methods[t.first.Load()])
	}
}

func (t *inTurn) Exchange(ctx context.Context, request []byte) ([]byte, error) {
	first := int(t.first.Load())
	var reasons []error
	for i := range t.methods {
		at := (first + i) % len(t.methods)
		reply, err := t.methods[at].Exchange(ctx, request)
		if err == nil {
			t.first.Store(int64(at))
			return reply, nil
		}
		reasons = append(reasons, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, allFailed(reasons)
}

// allFailed makes one error of all methods'.
func allFailed(reasons []error) error {
	switch len(reasons) {
	case 0:
		return ErrNoMethod
	case 1:
		return reasons[0]
	}
	err := reasons[0]
	for _, r := range reasons[1:] {
		err = fmt.Errorf("%w; %w", err, r)
	}
	return err
}
