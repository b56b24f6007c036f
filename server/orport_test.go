package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"flurry/common/vectors"

	pt "gitlab.torproject.org/tpo/anti-censorship/pluggable-transports/goptlib"
)

func TestServerSrcAddrVectors(t *testing.T) {
	vectors.Run(t, "server_srcaddr", map[string]func(*testing.T, vectors.Case){
		"srcaddr": func(t *testing.T, c vectors.Case) {
			var in struct{ Text string }
			var out struct {
				OK           bool
				IP           string
				Prefix, Bits int
			}
			c.Decode(t, &in, &out)
			source, err := parseSource(in.Text)
			if (err == nil) != out.OK {
				t.Fatalf("%q gives %v, %v; want success %v", in.Text, source, err, out.OK)
			}
			if err != nil {
				return
			}
			prefix, bits := source.Mask.Size()
			if source.IP.String() != out.IP || prefix != out.Prefix || bits != out.Bits {
				t.Errorf("%q gives %v/%d of %d bits, want %s/%d of %d", in.Text, source.IP, prefix, bits, out.IP, out.Prefix, out.Bits)
			}
		},
	})
}

func TestRandomIP(t *testing.T) {
	for _, text := range []string{"127.0.2.0/24", "127.0.0.9", "fd00::/64", "::1", "0.0.0.0/0", "192.0.2.128/31"} {
		source, err := parseSource(text)
		if err != nil {
			t.Fatal(err)
		}
		seen := make(map[string]bool)
		for range 200 {
			ip := randomIP(source)
			if !source.Contains(ip) {
				t.Fatalf("%s gives %v", text, ip)
			}
			seen[ip.String()] = true
		}
		ones, bits := source.Mask.Size()
		if want := min(1<<min(bits-ones, 16), 100); len(seen) < want {
			t.Errorf("%s gives %d addresses, want at least %d", text, len(seen), want)
		}
	}
}

// connections to an OR port come from the whole range.
func TestSourceRange(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	source, _ := parseSource("127.0.3.0/30")
	d := &orDialer{info: &pt.ServerInfo{OrAddr: l.Addr().(*net.TCPAddr)}, source: source}
	seen := make(map[netip.Addr]bool)
	for range 40 {
		c, err := d.dial("")
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		or, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		from := or.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
		or.Close()
		if !netip.MustParsePrefix("127.0.3.0/30").Contains(from) {
			t.Fatalf("a connection came from %v", from)
		}
		seen[from] = true
	}
	if len(seen) < 2 {
		t.Errorf("all connections came from one of four addresses")
	}
}

// fakeExtOrPort is tor's end of an extended OR port, for one connection.
type fakeExtOrPort struct {
	cookie []byte
	types  []byte // authentication types it offers
	reply  uint16 // to DONE
}

// command is what the transport says after authentication.
type command struct {
	code uint16
	body string
}

// serve speaks the protocol and returns the commands it has received. See
// tor's ext-orport-spec.txt, sections 2 and 3.
func (f fakeExtOrPort) serve(c net.Conn) ([]command, error) {
	c.Write(append(f.types, 0))
	hello := make([]byte, 1+32)
	if _, err := io.ReadFull(c, hello); err != nil {
		return nil, err
	}
	if hello[0] != 1 {
		return nil, fmt.Errorf("authentication type %d", hello[0])
	}
	clientNonce, serverNonce := hello[1:], make([]byte, 32)
	rand.Read(serverNonce)
	hash := func(direction string) []byte {
		h := hmac.New(sha256.New, f.cookie)
		io.WriteString(h, "ExtORPort authentication "+direction+" hash")
		h.Write(clientNonce)
		h.Write(serverNonce)
		return h.Sum(nil)
	}
	c.Write(append(hash("server-to-client"), serverNonce...))
	got := make([]byte, 32)
	if _, err := io.ReadFull(c, got); err != nil {
		return nil, err
	}
	if !hmac.Equal(got, hash("client-to-server")) {
		c.Write([]byte{0})
		return nil, fmt.Errorf("wrong hash")
	}
	c.Write([]byte{1})
	var said []command
	for {
		var head [4]byte
		if _, err := io.ReadFull(c, head[:]); err != nil {
			return said, err
		}
		body := make([]byte, binary.BigEndian.Uint16(head[2:]))
		if _, err := io.ReadFull(c, body); err != nil {
			return said, err
		}
		code := binary.BigEndian.Uint16(head[:])
		if code == 0 { // DONE
			binary.Write(c, binary.BigEndian, []uint16{f.reply, 0})
			return said, nil
		}
		said = append(said, command{code, string(body)})
	}
}

func TestExtendedORPort(t *testing.T) {
	const userAddr, transport, okay, deny = 1, 2, 0x1000, 0x1001
	cookie := bytes.Repeat([]byte{7}, 32)
	for name, tc := range map[string]struct {
		port   fakeExtOrPort
		client string
		want   []command
		err    string
	}{
		"with address":    {fakeExtOrPort{cookie, []byte{1}, okay}, "192.0.2.1:1", []command{{userAddr, "192.0.2.1:1"}, {transport, "snowflake"}}, ""},
		"IPv6":            {fakeExtOrPort{cookie, []byte{2, 1}, okay}, "[2001:db8::1]:1", []command{{userAddr, "[2001:db8::1]:1"}, {transport, "snowflake"}}, ""},
		"without address": {fakeExtOrPort{cookie, []byte{1}, okay}, "", []command{{transport, "snowflake"}}, ""},
		"denied":          {fakeExtOrPort{cookie, []byte{1}, deny}, "", []command{{transport, "snowflake"}}, "DENY"},
		"other cookie":    {fakeExtOrPort{bytes.Repeat([]byte{8}, 32), []byte{1}, okay}, "", nil, "mismatch in server hash"},
		"no cookie type":  {fakeExtOrPort{cookie, []byte{9}, okay}, "", nil, "auth type 1"},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			said := make(chan []command, 1)
			go func() {
				c, err := l.Accept()
				if err != nil {
					said <- nil
					return
				}
				defer c.Close()
				commands, _ := tc.port.serve(c)
				said <- commands
				io.Copy(c, c)
			}()
			file := filepath.Join(t.TempDir(), "cookie")
			if err := os.WriteFile(file, append([]byte("! Extended ORPort Auth Cookie !\x0a"), cookie...), 0o600); err != nil {
				t.Fatal(err)
			}
			d := &orDialer{info: &pt.ServerInfo{
				OrAddr:         &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}, // must not be used
				ExtendedOrAddr: l.Addr().(*net.TCPAddr),
				AuthCookiePath: file,
			}}
			c, err := d.dial(tc.client)
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Errorf("dial says %v, want %q", err, tc.err)
				}
			} else if err != nil {
				t.Fatal(err)
			} else {
				io.WriteString(c, "data")
				expect(t, c, "data")
				c.Close()
			}
			if got := <-said; !slices.Equal(got, tc.want) {
				t.Errorf("commands %v, want %v", got, tc.want)
			}
		})
	}
}
