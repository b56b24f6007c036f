package snowclient

// A Trace is a set of optional functions that tell what a Transport is doing to
// get and keep its proxies; a nil function is not called. They are called from
// the goroutines that do the work, possibly several at once, and must return
// quickly. Errors may hold network addresses: scrub them before showing them.
//
// The life of one path, in order: OfferCreated or OfferFailed; RendezvousDone
// or RendezvousFailed; Connected or Retrying; and when a connected path is
// lost while it is still wanted, Retrying.
type Trace struct {
	OfferCreated     func()          // a session description is ready to go to the broker
	OfferFailed      func(err error) // none could be made
	RendezvousDone   func()          // the broker brought a proxy's answer
	RendezvousFailed func(err error) // it did not: unreachable, or a refusal (BrokerError)
	Connected        func()          // the carrier to the proxy is open
	Retrying         func(err error) // it did not open, or a path ended: another proxy will be sought
}

func (t *Trace) offerCreated() {
	if t != nil && t.OfferCreated != nil {
		t.OfferCreated()
	}
}

func (t *Trace) offerFailed(err error) {
	if t != nil && t.OfferFailed != nil {
		t.OfferFailed(err)
	}
}

func (t *Trace) rendezvousDone() {
	if t != nil && t.RendezvousDone != nil {
		t.RendezvousDone()
	}
}

func (t *Trace) rendezvousFailed(err error) {
	if t != nil && t.RendezvousFailed != nil {
		t.RendezvousFailed(err)
	}
}

func (t *Trace) connected() {
	if t != nil && t.Connected != nil {
		t.Connected()
	}
}

func (t *Trace) retrying(err error) {
	if t != nil && t.Retrying != nil {
		t.Retrying(err)
	}
}
