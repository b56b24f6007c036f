package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	pt "gitlab.torproject.org/tpo/anti-censorship/pluggable-transports/goptlib"

	"flurry/client/snowclient"
)

// socksBytes is a SOCKS5 request with these arguments, as tor sends it: method
// selection, user name and password, CONNECT to 192.0.2.3:80.
func socksBytes(args string) []byte {
	user, password := args, "\x00"
	if len(user) > 255 {
		user, password = user[:255], user[255:]
	}
	b := []byte("\x05\x01\x02\x01")
	b = append(append(b, byte(len(user))), user...)
	b = append(append(b, byte(len(password))), password...)
	return append(b, "\x05\x01\x00\x01\xc0\x00\x02\x03\x00\x50"...)
}

// argSeeds are arguments of bridge lines, as tor writes them.
var argSeeds = [...]string{
	"url=https://broker.example/;fronts=a.example,b.example;ice=stun:stun.example:3478;utls-imitate=hellofirefox_auto",
	"url=https://broker.example/;max=3;fingerprint=2B280B23E1107BB62ABFC40DDCC8824814F80A72;utls-nosni=true",
	`url=http://[::1]:80/a\;b;front=x\=y;max=x`,
	"url=ftp://x/;ampcache=;sqsqueue=q",
	"=;;==",
}

// No bytes from the SOCKS port do harm, and the settings that a request leads to
// are ones a Transport can be made of.
func FuzzSOCKS(f *testing.F) {
	for _, s := range argSeeds {
		f.Add(socksBytes(s))
	}
	f.Add([]byte("\x04\x01\x00\x50\xc0\x00\x02\x03\x00"))
	f.Add([]byte("\x05\x01\x00\x05\x01\x00\x03\x09localhost\x00\x50"))
	f.Fuzz(func(t *testing.T, request []byte) {
		conn, err := socksRequest(context.Background(), &requestConn{in: bytes.NewReader(request)})
		if err != nil {
			return
		}
		checkArgs(t, conn.Req.Args)
	})
}

func checkArgs(t *testing.T, args pt.Args) {
	t.Helper()
	s, err := settings{max: 1}.withArgs(args)
	if err != nil {
		return
	}
	if s.max < 1 || s.max > snowclient.MaxPaths {
		t.Errorf("max is %d", s.max)
	}
	if n := len(s.fingerprint); n != 20 && n != 32 {
		t.Errorf("fingerprint has %d bytes", n)
	}
	if !strings.HasPrefix(strings.ToLower(s.url), "http") {
		t.Errorf("url is %q", s.url)
	}
	for _, list := range []string{s.fronts, s.ice} {
		if joinList(list) != list || strings.Join(splitList(list), ",") != list {
			t.Errorf("list is %q", list)
		}
	}
	// The settings are the key of the Transports: they must not change when the
	// same arguments come once more.
	if again, err := s.withArgs(args); err != nil || again != s {
		t.Errorf("%+v became %+v, %v", s, again, err)
	}
}

// A bad command line is one line of complaint.
func FuzzClientFlags(f *testing.F) {
	f.Add("-url https://broker.example/ -fronts a,b -ice stun:a:1 -max 2 -log x -unsafe-logging")
	f.Add("-max x")
	f.Add("-logToStateDir -keepLocalAddresses=maybe more")
	f.Fuzz(func(t *testing.T, line string) {
		o, err := parseFlags(strings.Split(line, " "), io.Discard)
		if err != nil && strings.Count(err.Error(), "\n") > strings.Count(line, "\n") {
			t.Errorf("the complaint has several lines: %q", err)
		}
		if err == nil && (o.max < 1 || o.max > snowclient.MaxPaths) {
			t.Errorf("max is %d", o.max)
		}
	})
}

// requestConn is a connection whose other end has written a request and takes
// every reply.
type requestConn struct {
	net.Conn
	in io.Reader
}

func (c *requestConn) Read(p []byte) (int, error)       { return c.in.Read(p) }
func (c *requestConn) Write(p []byte) (int, error)      { return len(p), nil }
func (c *requestConn) Close() error                     { return nil }
func (c *requestConn) SetDeadline(time.Time) error      { return nil }
func (c *requestConn) SetReadDeadline(time.Time) error  { return nil }
func (c *requestConn) SetWriteDeadline(time.Time) error { return nil }
