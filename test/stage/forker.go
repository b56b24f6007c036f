package stage

import "runtime"

// A forker starts children on one thread that lives as long as they do. Linux ties a child's parent death signal to the
// thread that made it, and Go's threads come and go.
type forker struct {
	work chan func()
	done chan struct{}
}

func newForker() *forker {
	f := &forker{work: make(chan func()), done: make(chan struct{})}
	go func() {
		defer close(f.done)
		runtime.LockOSThread()
		for fn := range f.work {
			fn()
		}
	}()
	return f
}

// run calls start on the thread.
func (f *forker) run(start func() error) error {
	errc := make(chan error, 1)
	f.work <- func() { errc <- start() }
	return <-errc
}

// close ends the thread; the children must have ended.
func (f *forker) close() {
	close(f.work)
	<-f.done
}
