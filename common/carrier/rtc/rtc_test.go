package rtc

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"flurry/common/carrier"
	"flurry/common/carrier/carriertest"
	"flurry/common/sdp"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func endpoint(t testing.TB, cfg Config) *Endpoint {
	t.Helper()
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// pair connects two Endpoints over loopback.
func pair(t testing.TB) (offerer, answerer *Conn) {
	t.Helper()
	return pairOf(t, Config{KeepLocalAddresses: true}, Config{KeepLocalAddresses: true}, func(string) Kind { return Reliable })
}

func pairOf(t testing.TB, offerCfg, answerCfg Config, choose Choice) (offerer, answerer *Conn) {
	t.Helper()
	a, b := endpoint(t, offerCfg), endpoint(t, answerCfg)
	other := make(chan *Conn, 1)
	conn, err := a.DialKind(context.Background(), "", func(ctx context.Context, offer string) (string, error) {
		p, err := b.Answer(ctx, offer)
		if err != nil {
			return "", err
		}
		go func() {
			c, err := p.Wait(context.Background())
			if err != nil {
				t.Error(err)
			}
			other <- c
		}()
		return p.Answer(), nil
	}, choose)
	if err != nil {
		t.Fatal(err)
	}
	return conn, <-other
}

func TestContract(t *testing.T) {
	carriertest.Check(t, func(t *testing.T) (a, b carrier.Conn) { return pair(t) })
}

func TestLabels(t *testing.T) {
	a, b := pair(t)
	defer a.Close()
	defer b.Close()
	if !strings.HasPrefix(b.Label(), "snowflake-") || len(b.Label()) != len("snowflake-")+16 {
		t.Errorf("label %q", b.Label())
	}
}

func TestSignalErrorEndsDial(t *testing.T) {
	want := errors.New("the broker says no")
	_, err := endpoint(t, Config{KeepLocalAddresses: true}).Dial(context.Background(), "", func(context.Context, string) (string, error) { return "", want })
	if !errors.Is(err, want) {
		t.Errorf("got %v", err)
	}
}

func TestHostileDescriptions(t *testing.T) {
	e := endpoint(t, Config{KeepLocalAddresses: true, OpenTimeout: time.Millisecond})
	for _, text := range []string{
		"", "{}", "null", `{"type":"offer"}`, `{"type":"offer","sdp":""}`, `{"type":"offer","sdp":"v=0"}`,
		`{"type":"answer","sdp":"v=0\r\n"}`, `{"type":"pranswer","sdp":"v=0\r\n"}`, `{"type":"rollback","sdp":""}`,
		`{"type":"offer","sdp":"v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"}`,
		`{"type":"offer","sdp":"v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n"}`,
		`{"type":"offer","sdp":"v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:0\r\na=candidate:x\r\n"}`,
		strings.Repeat("[", 50000),
	} {
		p, err := e.Answer(context.Background(), text)
		if err == nil {
			if _, err = p.Wait(context.Background()); err == nil {
				t.Errorf("connected to %.40q", text)
			}
		}
		if _, err := e.Dial(context.Background(), "", func(context.Context, string) (string, error) { return text, nil }); err == nil {
			t.Errorf("dialled %.40q", text)
		}
	}
}

func TestOpenTimeout(t *testing.T) {
	a := endpoint(t, Config{KeepLocalAddresses: true, OpenTimeout: 50 * time.Millisecond})
	b := endpoint(t, Config{KeepLocalAddresses: true})
	_, err := a.Dial(context.Background(), "", func(ctx context.Context, offer string) (string, error) {
		p, err := b.Answer(ctx, offer)
		if err != nil {
			return "", err
		}
		p.Close() // the volunteer leaves
		return p.Answer(), nil
	})
	if !errors.Is(err, ErrOpenTimeout) {
		t.Errorf("got %v", err)
	}
}

func TestOffersHideLocalAddresses(t *testing.T) {
	e := endpoint(t, Config{})
	var offer string
	e.Dial(context.Background(), "", func(_ context.Context, o string) (string, error) {
		offer = o
		return "", errors.New("enough")
	})
	d, err := sdp.Parse(offer)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range sdp.CandidateAddrs(d.SDP) {
		if sdp.IsLocal(a) {
			t.Errorf("candidate %v", a)
		}
	}
}

func TestOutboundAddress(t *testing.T) {
	e := endpoint(t, Config{OutboundAddress: netip.MustParseAddr("192.0.2.7")})
	var offer string
	e.Dial(context.Background(), "", func(_ context.Context, o string) (string, error) {
		offer = o
		return "", errors.New("enough")
	})
	if !strings.Contains(offer, " 192.0.2.7 ") {
		t.Error("the outbound address is in no candidate")
	}
	if _, err := New(Config{OutboundAddress: netip.MustParseAddr("192.0.2.7"), KeepLocalAddresses: true}); err == nil {
		t.Error("outbound address and keeping local ones were taken together")
	}
}

func TestParseSTUN(t *testing.T) {
	for text, want := range map[string]string{
		"stun:stun.example":          "stun.example:3478",
		"stun:stun.example:19302":    "stun.example:19302",
		"stun:192.0.2.1":             "192.0.2.1:3478",
		"stun:[2001:db8::1]:3479":    "[2001:db8::1]:3479",
		"stun:[2001:db8::1]":         "[2001:db8::1]:3478",
		"turn:turn.example":          "",
		"stuns:stun.example":         "",
		"stun://stun.example":        "",
		"stun:":                      "",
		"stun::3478":                 "",
		"stun:stun.example:":         "",
		"stun.example:3478":          "",
		"stun:stun.example?proto=tc": "",
	} {
		got, err := ParseSTUN(text)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

func BenchmarkTransfer(b *testing.B) {
	for _, profile := range []Profile{Chromium, Pion} { // which differ in their DTLS
		for name, size := range map[string]int{"1100B": 1100, "16KiB": 16384} {
			b.Run(string(profile)+"/"+name, func(b *testing.B) { transfer(b, profile, size) })
		}
	}
}

func transfer(b *testing.B, profile Profile, size int) {
	cfg := Config{KeepLocalAddresses: true, Profile: profile}
	x, y := pairOf(b, cfg, cfg, func(string) Kind { return Reliable })
	defer y.Close()
	defer x.Close()
	got := make(chan int)
	go func() {
		buf, n := make([]byte, 65535), 0
		for n < b.N*size {
			k, err := y.Recv(buf)
			if err != nil {
				break
			}
			n += k
		}
		got <- n
	}()
	msg := make([]byte, size)
	b.SetBytes(int64(size))
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		if err := x.Send(context.Background(), msg); err != nil {
			b.Fatal(err)
		}
	}
	<-got
}
