package stage

import (
	"context"
	"net"
)

// A Host is where parts of a stage run.
type Host interface {
	// Addrs are the addresses at which others reach it, at least one.
	Addrs() []string
	// Command returns the command line that runs argv there, as a process with the number of the one that is started.
	Command(argv ...string) []string
	// Do runs f such that the sockets it opens are the host's.
	Do(f func() error) error
}

// A Network says on which host each part stands.
type Network struct {
	Infra   Host // broker and STUN server; with two addresses it can tell NATs apart
	Bridge  Host // server and web site
	Client  Host // every client, and what connects to them
	Proxies []Host
}

// network is what the options say, or loopback.
func (o *Options) network() Network {
	if o.Network != nil {
		return *o.Network
	}
	return Network{Infra: loopback{}, Bridge: loopback{}, Client: loopback{}, Proxies: []Host{loopback{}}}
}

// loopback is this machine, with itself alone.
type loopback struct{}

func (loopback) Addrs() []string                 { return []string{"127.0.0.1", "127.0.0.2"} }
func (loopback) Command(argv ...string) []string { return argv }
func (loopback) Do(f func() error) error         { return f() }

// dialFrom opens a TCP connection from a host.
func dialFrom(ctx context.Context, from Host, addr string) (net.Conn, error) {
	var c net.Conn
	err := from.Do(func() (err error) {
		var d net.Dialer
		c, err = d.DialContext(ctx, "tcp4", addr)
		return err
	})
	return c, err
}
