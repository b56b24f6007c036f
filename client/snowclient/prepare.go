package snowclient

// A Preparer is a Rendezvous or a CarrierDialer that can get ready for its next
// use, which is expected soon: open a connection, gather addresses. Prepare
// returns at once, does nothing if all is ready, and leaves errors to the use.
// What it made ready goes by itself when it is not used.
type Preparer interface{ Prepare() }

// Prepare gets ready for a Dial that is expected within seconds: it learns the
// kind of NAT, opens the connection to the broker, and gathers candidates. It
// returns at once. An offer that is not made within 20 s must gather anew, and
// nothing is sent to keep things ready for longer. Dial itself does all this
// too; a program that knows its settings before its first Dial saves some round
// trips with it.
func (t *Transport) Prepare() {
	due := t.nat.look()
	t.mu.Lock()
	closed := t.closed
	if due && !closed {
		t.tasks.Go(t.learnNAT)
	}
	t.mu.Unlock()
	if closed {
		return
	}
	prepare(t.cfg.Rendezvous)
	prepare(t.dialer)
}

func prepare(part any) {
	if p, ok := part.(Preparer); ok {
		p.Prepare()
	}
}

// learnNAT runs a probe that is due.
func (t *Transport) learnNAT() { t.nat.learn(t.ctx, t.probe) }

// Prepare implements Preparer.
func (d *rtcDialer) Prepare() { d.endpoint.Prepare() }

// Close throws away what Prepare has made ready.
func (d *rtcDialer) Close() { d.endpoint.Close() }
