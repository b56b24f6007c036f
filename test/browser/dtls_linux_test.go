package browser

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/pion/datachannel"
	"github.com/pion/logging"
	"github.com/pion/sctp"

	"flurry/common/dtls13"
)

// callSize goes each way over a data channel, in bytes.
const callSize = 20_000_000

// TestDTLS calls a page with our own DTLS, as client and as server, in the shape of either browser, and moves a file each way.
func TestDTLS(t *testing.T) {
	for _, b := range allBrowsers() {
		for _, p := range []dtls13.Profile{dtls13.Chromium(), dtls13.Firefox()} {
			for _, setup := range []string{"active", "passive"} {
				t.Run(b.Name+"/"+p.Name()+" "+setup, func(t *testing.T) { transfer(t, b, p, setup) })
			}
		}
	}
}

func transfer(t *testing.T, b browser, profile dtls13.Profile, setup string) {
	b.find(t)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cert, err := profile.NewCertificate()
	if err != nil {
		t.Fatal(err)
	}
	p := newPeer(ctx, t, cert, setup)
	mux := http.NewServeMux()
	p.serve(mux)
	site := newPage(t, mux)
	b.open(t, fmt.Sprintf("%s/call.html?size=%d", site.srv.URL, callSize))

	conn, verify, err := p.connect(ctx)
	if err != nil {
		t.Fatal(err)
	}
	wire := &recorder{Conn: conn, start: time.Now()}
	t.Cleanup(func() {
		for _, line := range wire.lines {
			t.Log(line)
		}
	})
	shake := dtls13.Server
	if setup == "active" {
		shake = dtls13.Client
	}
	secure, err := shake(ctx, wire, dtls13.Config{Profile: profile, Certificate: cert, VerifyPeer: verify})
	if err != nil {
		t.Fatal(err)
	}
	defer secure.Close()
	s := secure.State()
	if s.Version != dtls13.Version13 || s.CipherSuite != 0x1301 || s.Group != 0x11ec || s.SRTPProfile == 0 {
		t.Errorf("agreed on %04x %04x %04x %04x", s.Version, s.CipherSuite, s.Group, s.SRTPProfile)
	}
	stop := context.AfterFunc(ctx, func() { secure.Close() })
	defer stop()
	if err := exchange(ctx, t, secure); err != nil {
		t.Fatal(err)
	}
}

// exchange opens a data channel, sends a file and takes one.
func exchange(ctx context.Context, t *testing.T, secure *dtls13.Conn) error {
	start := time.Now()
	a, err := sctp.ClientWithOptions(sctp.WithNetConn(secure), sctp.WithLoggerFactory(logging.NewDefaultLoggerFactory()))
	if err != nil {
		return fmt.Errorf("SCTP: %w", err)
	}
	defer a.Close()
	// The DTLS client has the even streams (RFC 8832 section 6); there is only one here.
	d, err := datachannel.Dial(a, 0, &datachannel.Config{Label: "data", LoggerFactory: logging.NewDefaultLoggerFactory()})
	if err != nil {
		return fmt.Errorf("data channel: %w", err)
	}
	defer d.Close()
	sent, err := sendFile(ctx, d)
	if err != nil {
		return err
	}
	text, _, err := receiveText(d)
	if err != nil {
		return err
	}
	if text != sent {
		return errors.New("the page got something else than was sent")
	}
	t.Logf("sent after %v", time.Since(start))
	secure.UpdateKeys(true)
	text, got, err := receiveText(d)
	if err != nil {
		return err
	}
	if text != got {
		return errors.New("got something else than the page sent")
	}
	t.Logf("received after %v", time.Since(start))
	return nil
}

func sendFile(ctx context.Context, d *datachannel.DataChannel) (string, error) {
	const piece, highWater = 16384, 1 << 20
	room := make(chan struct{}, 1)
	d.SetBufferedAmountLowThreshold(highWater / 2)
	d.OnBufferedAmountLow(func() {
		select {
		case room <- struct{}{}:
		default:
		}
	})
	sum, buf := sha256.New(), make([]byte, piece)
	for left := callSize; left > 0; left -= len(buf) {
		buf = buf[:min(left, piece)]
		rand.Read(buf) //nolint:errcheck // It never fails.
		sum.Write(buf)
		if _, err := d.Write(buf); err != nil {
			return "", fmt.Errorf("send: %w", err)
		}
		if d.BufferedAmount() > highWater {
			select {
			case <-room:
			case <-ctx.Done():
				return "", fmt.Errorf("send: %w", ctx.Err())
			}
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// receiveText returns the next text, and the digest of the bytes before it.
func receiveText(d *datachannel.DataChannel) (text, digest string, err error) {
	sum, buf := sha256.New(), make([]byte, 1<<16)
	for {
		n, isText, err := d.ReadDataChannel(buf)
		if err != nil {
			return "", "", fmt.Errorf("receive: %w", err)
		}
		if isText {
			return string(buf[:n]), hex.EncodeToString(sum.Sum(nil)), nil
		}
		sum.Write(buf[:n])
	}
}

// A recorder notes the first datagrams.
type recorder struct {
	net.Conn
	start time.Time

	mu    sync.Mutex
	lines []string
}

func (r *recorder) note(what string, b []byte) {
	const most = 24
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.lines) < most {
		r.lines = append(r.lines, fmt.Sprintf("%6.1f ms %s %4d bytes %x", time.Since(r.start).Seconds()*1000, what, len(b), b[:min(len(b), 16)]))
	}
}

func (r *recorder) Write(b []byte) (int, error) {
	r.note("sent", b)
	return r.Conn.Write(b)
}

func (r *recorder) Read(b []byte) (int, error) {
	n, err := r.Conn.Read(b)
	if err == nil {
		r.note("got ", b[:n])
	}
	return n, err
}
