package main

import (
	"encoding/binary"
	"net"
	"testing"
	"time"
)

// A readyTransport counts Prepare.
type readyTransport struct {
	stubTransport
	prepared int
}

func (r *readyTransport) Prepare() { r.prepared++ }

func TestPrepareUsesTheSharedTransport(t *testing.T) {
	ts, _ := newStubTransports()
	made := &readyTransport{}
	ts.start = func(settings) (transport, error) { return made, nil }
	ts.prepare(bridgeLine(1))
	if got, _, err := ts.acquire(bridgeLine(1)); got != transport(made) || err != nil || made.prepared != 1 {
		t.Errorf("got %v, %v, prepared %d times", got, err, made.prepared)
	}
	ts.close()
	ts.prepare(bridgeLine(1)) // does nothing
}

// With a broker in its flags the program asks its STUN server and opens the way
// to the broker before any SOCKS connection comes.
func TestProgramPreparesAtItsStart(t *testing.T) {
	broker, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	server, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	p := startPT(t, "-keep-local-addresses", "-url", "http://"+broker.Addr().String(), "-ice", "stun:"+server.LocalAddr().String())
	p.socksAddr()
	conn, err := broker.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	sockets := map[string]bool{}
	for len(sockets) < 2 { // one of ICE's, one of the NAT probe's
		buf := make([]byte, 1500)
		server.SetReadDeadline(time.Now().Add(20 * time.Second))
		n, from, err := server.ReadFrom(buf)
		if err != nil || n < 20 || binary.BigEndian.Uint16(buf) != 1 { // a binding request
			t.Fatalf("% x, %v", buf[:n], err)
		}
		sockets[from.String()] = true
	}
	p.terminate()
}
