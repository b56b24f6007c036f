package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"testing/iotest"

	"flurry/common/safelog"
	"flurry/common/vectors"
)

// tcpPair is a TCP connection over loopback: what a SOCKS connection is.
func tcpPair(t *testing.T) (near, far *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	a, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a.(*net.TCPConn), b.(*net.TCPConn)
}

// startRelay joins an application to a bridge and gives their far ends and
// what relay returns.
func startRelay(t *testing.T) (app, bridge *net.TCPConn, result chan error) {
	app, appNear := tcpPair(t)
	stream, bridge := tcpPair(t)
	result = make(chan error, 1)
	go func() { result <- relay(appNear, stream) }()
	return app, bridge, result
}

func TestRelayCarriesBothWays(t *testing.T) {
	app, bridge, result := startRelay(t)
	data := vectors.Payload(3, 300_000)
	for _, way := range [][2]net.Conn{{app, bridge}, {bridge, app}} {
		go way[0].Write(data)
		got := make([]byte, len(data))
		if _, err := io.ReadFull(way[1], got); err != nil || !bytes.Equal(got, data) {
			t.Fatalf("%v; right: %v", err, bytes.Equal(got, data))
		}
	}
	app.Close()
	if got, err := io.ReadAll(bridge); len(got) > 0 || err != nil {
		t.Errorf("the bridge read %d bytes, %v after the application closed", len(got), err)
	}
	if err := <-result; err != nil {
		t.Error(err)
	}
}

// An application that is still sending when the bridge closes must get what the
// bridge sent before.
func TestRelayDeliversTheLastBytes(t *testing.T) {
	app, bridge, result := startRelay(t)
	data := vectors.Payload(4, 100_000)
	uploading := make(chan struct{})
	go func() {
		defer close(uploading)
		for {
			if _, err := app.Write(data[:1000]); err != nil {
				return
			}
		}
	}()
	io.ReadFull(bridge, make([]byte, 1000)) // the upload is running
	bridge.Write(data)
	bridge.CloseWrite()
	if got, err := io.ReadAll(app); err != nil || !bytes.Equal(got, data) {
		t.Errorf("the application read %d of %d bytes, %v", len(got), len(data), err)
	}
	app.Close()
	if err := <-result; err != nil {
		t.Error(err)
	}
	<-uploading
}

// A failingConn fails to read.
type failingConn struct {
	net.Conn
	io.Reader
}

func (f failingConn) Read(p []byte) (int, error) { return f.Reader.Read(p) }

func TestRelayEndsBothSidesOnAnError(t *testing.T) {
	boom := errors.New("boom")
	app, appNear := tcpPair(t)
	stream, bridge := tcpPair(t)
	if err := relay(appNear, failingConn{stream, iotest.ErrReader(boom)}); !errors.Is(err, boom) {
		t.Errorf("got %v, want %v", err, boom)
	}
	if _, err := app.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the application sees %v, which looks like a proper end", err)
	}
	if _, err := bridge.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the bridge sees %v, want %v", err, io.EOF)
	}
}

// A connection that dawdles over its SOCKS request holds up nobody, and does
// not hold up the end of the program.
func TestDawdlingConnectionHoldsUpNobody(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &client{base: full, log: safelog.Discard(), transports: newTransports(nil, safelog.Discard())}
	c.transports.start = func(settings) (transport, error) { return new(stubTransport), nil }
	ctx, cancel := context.WithCancel(t.Context())
	accepting := make(chan struct{})
	go func() {
		defer close(accepting)
		c.accept(ctx, ln)
	}()
	slow, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	slow.Write([]byte{5}) // and no more
	if conn, err := dialSOCKS(t, ln.Addr().String(), ""); err == nil {
		conn.Close()
		t.Error("granted, though the transport cannot dial")
	}
	cancel()
	ln.Close()
	<-accepting
	c.conns.Wait()
}
