package dtls13

import (
	"net"
	"os"
	"sync"
	"time"
)

// A pipeEnd is one end of a network of whole datagrams in memory. What does not
// fit into the queue is lost, as on the network.
type pipeEnd struct {
	in, out chan []byte
	free    chan []byte // memory to use again
	name    pipeAddr

	mu     sync.Mutex
	expire chan struct{} // closed at the deadline for reading
	timer  *time.Timer
	once   sync.Once
	closed chan struct{}
}

type pipeAddr string

func (pipeAddr) Network() string  { return "pipe" }
func (a pipeAddr) String() string { return string(a) }

func newPipe() (*pipeEnd, *pipeEnd) {
	a, b := make(chan []byte, 256), make(chan []byte, 256)
	free := make(chan []byte, 512)
	end := func(in, out chan []byte, name pipeAddr) *pipeEnd {
		return &pipeEnd{in: in, out: out, free: free, name: name, expire: make(chan struct{}), closed: make(chan struct{})}
	}
	return end(a, b, "a"), end(b, a, "b")
}

func (p *pipeEnd) Read(b []byte) (int, error) {
	p.mu.Lock()
	expire := p.expire
	p.mu.Unlock()
	select {
	case <-expire:
		return 0, os.ErrDeadlineExceeded
	case <-p.closed:
		return 0, net.ErrClosed
	default:
	}
	select {
	case d := <-p.in:
		n := copy(b, d)
		select {
		case p.free <- d:
		default:
		}
		return n, nil
	case <-expire:
		return 0, os.ErrDeadlineExceeded
	case <-p.closed:
		return 0, net.ErrClosed
	}
}

func (p *pipeEnd) Write(b []byte) (int, error) {
	select {
	case <-p.closed:
		return 0, net.ErrClosed
	default:
	}
	var d []byte
	select {
	case d = <-p.free:
	default:
	}
	select {
	case p.out <- append(d[:0], b...):
	default:
	}
	return len(b), nil
}

func (p *pipeEnd) SetReadDeadline(t time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timer != nil {
		p.timer.Stop()
	}
	expire := make(chan struct{})
	old := p.expire
	p.expire, p.timer = expire, nil
	switch {
	case t.IsZero():
	case !t.After(time.Now()):
		close(expire)
		select {
		case <-old:
		default:
			close(old) // Whoever reads has it.
		}
	default:
		p.timer = time.AfterFunc(time.Until(t), func() { close(expire) })
	}
	return nil
}

func (p *pipeEnd) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipeEnd) SetDeadline(t time.Time) error    { return p.SetReadDeadline(t) }
func (p *pipeEnd) SetWriteDeadline(time.Time) error { return nil }
func (p *pipeEnd) LocalAddr() net.Addr              { return p.name }
func (p *pipeEnd) RemoteAddr() net.Addr             { return p.name + "'s peer" }

// ReadFrom and WriteTo make it a net.PacketConn.
func (p *pipeEnd) ReadFrom(b []byte) (int, net.Addr, error) {
	n, err := p.Read(b)
	return n, p.RemoteAddr(), err
}
func (p *pipeEnd) WriteTo(b []byte, _ net.Addr) (int, error) { return p.Write(b) }
