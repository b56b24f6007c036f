package browser

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/pion/srtp/v3"

	"flurry/common/dtls13"
)

// mediaPackets is how many of a call's packets must open, of audio and of video and of what controls them.
const mediaPackets, controlPackets = 300, 5

// mediaSections is what our offers say of audio and video: that we take them.
const mediaSections = `m=audio 9 UDP/TLS/RTP/SAVPF 111
c=IN IP4 0.0.0.0
a=rtpmap:111 opus/48000/2
a=recvonly
a=rtcp-mux
a=mid:0
{transport}m=video 9 UDP/TLS/RTP/SAVPF 96
c=IN IP4 0.0.0.0
a=rtpmap:96 VP8/90000
a=rtcp-fb:96 transport-cc
a=recvonly
a=rtcp-mux
a=mid:1
{transport}`

// TestMedia takes a browser's audio and video: what it sends opens with the keys that our DTLS exports, as client and as server.
func TestMedia(t *testing.T) {
	for _, b := range allBrowsers() {
		t.Run(b.Name, func(t *testing.T) {
			b.find(t)
			profile := dtls13.Chromium()
			if b.profile == "firefox" {
				profile = dtls13.Firefox()
			}
			cert, err := profile.NewCertificate()
			if err != nil {
				t.Fatal(err)
			}
			mux := http.NewServeMux()
			peers := map[string]*peer{"active": nil, "passive": nil}
			for setup := range peers {
				p := newPeer(t.Context(), t, cert, setup)
				p.media = true
				own := http.NewServeMux()
				p.serve(own)
				for _, path := range []string{"GET /" + setup + "/offer", "POST /" + setup + "/answer"} {
					mux.Handle(path, http.StripPrefix("/"+setup, own))
				}
				peers[setup] = p
			}
			b.open(t, newPage(t, mux).srv.URL+"/media.html")
			for setup, p := range peers { // The second waits meanwhile: its browser sends checks.
				t.Run(setup, func(t *testing.T) { takeMedia(t, p, profile) })
			}
		})
	}
}

func takeMedia(t *testing.T, p *peer, profile dtls13.Profile) {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cert, setup := p.cert, p.setup
	conn, verify, err := p.connect(ctx)
	if err != nil {
		t.Fatal(err)
	}
	media := &mediaConn{Conn: conn}
	shake := dtls13.Server
	if setup == "active" {
		shake = dtls13.Client
	}
	secure, err := shake(ctx, media, dtls13.Config{Profile: profile, Certificate: cert, VerifyPeer: verify})
	if err != nil {
		t.Fatal(err)
	}
	defer context.AfterFunc(ctx, func() { secure.Close() })()
	opener, err := newOpener(secure, setup == "active")
	if err != nil {
		t.Fatal(err)
	}
	media.take(opener.open)
	buf := make([]byte, 1<<16)
	for !opener.enough() {
		if _, err := secure.Read(buf); err != nil && !opener.enough() {
			t.Errorf("the call ended: %v", err)
			break
		}
	}
	secure.Close()
	t.Logf("SRTP profile %04x: %s", secure.State().SRTPProfile, opener)
	if opener.bad > 0 || !opener.enough() {
		t.Errorf("%s", opener)
	}
}

// A mediaConn takes what is not DTLS out of a path.
type mediaConn struct {
	net.Conn

	mu    sync.Mutex
	early [][]byte
	to    func([]byte) (enough bool)
}

// take has the packets given to a function, those that have come before too. At the enough of it Read returns.
func (c *mediaConn) take(to func([]byte) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.to = to
	for _, p := range c.early {
		to(p)
	}
	c.early = nil
}

var errEnough = errors.New("enough packets of media")

func (c *mediaConn) Read(b []byte) (int, error) {
	for {
		n, err := c.Conn.Read(b)
		if err != nil || n == 0 || b[0] < 128 || b[0] > 191 { // RFC 7983 section 7
			return n, err
		}
		p := append([]byte(nil), b[:n]...)
		c.mu.Lock()
		if c.to == nil {
			c.early = append(c.early, p)
		} else if c.to(p) {
			c.mu.Unlock()
			return 0, errEnough
		}
		c.mu.Unlock()
	}
}

// An opener opens SRTP and SRTCP and counts.
type opener struct {
	context                    *srtp.Context
	audio, video, control, bad int
}

// newOpener makes the context of what the other end sends (RFC 5764 section 4.2).
func newOpener(secure *dtls13.Conn, client bool) (*opener, error) {
	profile := srtp.ProtectionProfile(secure.State().SRTPProfile)
	keyLen, err := profile.KeyLen()
	if err != nil {
		return nil, err
	}
	saltLen, err := profile.SaltLen()
	if err != nil {
		return nil, err
	}
	material, err := secure.Export("EXTRACTOR-dtls_srtp", nil, 2*keyLen+2*saltLen)
	if err != nil {
		return nil, err
	}
	key, salt := material[:keyLen], material[2*keyLen:2*keyLen+saltLen] // the client's
	if client {
		key, salt = material[keyLen:2*keyLen], material[2*keyLen+saltLen:]
	}
	o := &opener{}
	o.context, err = srtp.CreateContext(key, salt, profile, srtp.SRTPReplayProtection(1024), srtp.SRTCPReplayProtection(1024))
	return o, err
}

func (o *opener) open(p []byte) bool {
	if len(p) < 12 {
		o.bad++
		return o.enough()
	}
	var err error
	switch typ := p[1]; {
	case typ >= 192 && typ <= 223: // RFC 5761 section 4
		if _, err = o.context.DecryptRTCP(nil, p, nil); err == nil {
			o.control++
		}
	default:
		if _, err = o.context.DecryptRTP(nil, p, nil); err == nil {
			if typ&127 == 111 {
				o.audio++
			} else {
				o.video++
			}
		}
	}
	if err != nil {
		o.bad++
	}
	return o.enough()
}

func (o *opener) enough() bool {
	return o.audio+o.video >= mediaPackets && o.audio > 0 && o.video > 0 && o.control >= controlPackets
}

func (o *opener) String() string {
	return fmt.Sprintf("%d packets of audio, %d of video and %d of RTCP opened, %d not", o.audio, o.video, o.control, o.bad)
}
