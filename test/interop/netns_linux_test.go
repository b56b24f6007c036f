package interop

import (
	"context"
	"net"
	"net/http"
	"testing"

	"flurry/test/netlab"
	"flurry/test/stage"
)

// An internet is a lab with hosts around a router, see netlab.
type internet struct {
	*lab
	net *netlab.Net
}

func newInternet(t *testing.T) *internet {
	t.Helper()
	if err := netlab.Missing(); err != nil {
		missing(t, err.Error())
	}
	net, err := netlab.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := net.Close(); err != nil {
			t.Error(err)
		}
	})
	return &internet{lab: newLab(t), net: net}
}

// addHost makes a host with these public addresses.
func (n *internet) addHost(name string, kind netlab.NAT, addrs ...string) *netlab.Host {
	n.t.Helper()
	h, err := n.net.AddHost(netlab.HostConfig{Name: name, NAT: kind, Addrs: addrs})
	if err != nil {
		n.t.Fatal(err)
	}
	return h
}

// serveFiles starts a web site with the files of a stage's on loopback of a host and returns its address.
func (n *internet) serveFiles(on *netlab.Host) string {
	n.t.Helper()
	var ln net.Listener
	err := on.Do(func() (err error) {
		ln, err = net.Listen("tcp4", "127.0.0.1:0")
		return err
	})
	if err != nil {
		n.t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(serveFile)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		srv.Serve(ln) //nolint:errcheck // It ends with ErrServerClosed.
	}()
	n.t.Cleanup(func() {
		srv.Close()
		<-done
	})
	return ln.Addr().String()
}

// getOn fetches size bytes through a client that runs on a host.
func (c *ptClient) getOn(t *testing.T, on *netlab.Host, size int64) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), sessionLimit)
	defer cancel()
	var conn net.Conn
	err := on.Do(func() (err error) {
		conn, err = stage.DialSOCKS(ctx, c.addr, nil)
		return err
	})
	if err != nil {
		return err
	}
	return stage.Get(ctx, conn, 7, size, nil)
}
