package snowproxy

import "time"

// stockFor is how long after its start, and after each client, a proxy gets
// ready for the next client while it polls. That costs one question to each
// STUN server in ten seconds or more, less than a browser asks for one open
// connection, and saves a client a round trip; a proxy to which nobody comes
// stops asking.
const stockFor = 5 * time.Minute

// A Preparer is an Answerer that can get ready for an offer to come.
type Preparer interface {
	Answerer

	// Prepare gets ready for the next Answer and returns at once. It is called
	// before each poll that may bring a client soon.
	Prepare()

	// Close throws away what was made ready. It is called once, when the Proxy
	// ends.
	Close()
}

// Prepare implements Preparer.
func (w webRTC) Prepare() { w.endpoint.Prepare() }

// Close implements Preparer.
func (w webRTC) Close() { w.endpoint.Close() }

// prepare gets ready for a client whom the poll to come may bring.
func (p *Proxy) prepare() {
	if a, ok := p.answerer.(Preparer); ok && time.Now().Before(p.stockUntil) {
		a.Prepare()
	}
}

// unprepare throws away what is left.
func (p *Proxy) unprepare() {
	if a, ok := p.answerer.(Preparer); ok {
		a.Close()
	}
}

// expectClients says that clients come these days.
func (p *Proxy) expectClients() { p.stockUntil = time.Now().Add(stockFor) }
