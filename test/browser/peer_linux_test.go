package browser

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/pion/ice/v4"

	"flurry/common/dtls13"
)

// A description is what a page's RTCPeerConnection takes and gives.
type description struct {
	Type string `json:"type"`
	SDP  string `json:"sdp"`
}

// A peer is our end of a call with a page that answers: ICE, without anything above.
type peer struct {
	agent   *ice.Agent
	cert    dtls13.Certificate
	setup   string // of our offer: "active" is DTLS client
	media   bool   // audio and video are offered, in place of a data channel
	answers chan string
}

// newPeer gathers addresses.
func newPeer(ctx context.Context, t *testing.T, cert dtls13.Certificate, setup string) *peer {
	t.Helper()
	agent, err := ice.NewAgentWithOptions(ice.WithIncludeLoopback(), ice.WithNetworkTypes([]ice.NetworkType{ice.NetworkTypeUDP4}),
		ice.WithCandidateTypes([]ice.CandidateType{ice.CandidateTypeHost}), ice.WithMulticastDNSMode(ice.MulticastDNSModeDisabled))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := agent.GracefulClose(); err != nil {
			t.Error(err)
		}
	})
	gathered := make(chan struct{})
	if err := agent.OnCandidate(func(c ice.Candidate) {
		if c == nil {
			close(gathered)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := agent.GatherCandidates(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-gathered:
	case <-ctx.Done():
		t.Fatal("no candidates")
	}
	return &peer{agent: agent, cert: cert, setup: setup, answers: make(chan string, 1)}
}

// dataSection is what an offer says of a data channel.
const dataSection = `m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
{transport}a=mid:0
a=sctp-port:5000
a=max-message-size:262144
`

// offer is the description that the page is given.
func (p *peer) offer() (string, error) {
	ufrag, pwd, err := p.agent.GetLocalUserCredentials()
	if err != nil {
		return "", err
	}
	candidates, err := p.agent.GetLocalCandidates()
	if err != nil {
		return "", err
	}
	transport := []string{"a=ice-ufrag:" + ufrag, "a=ice-pwd:" + pwd, "a=fingerprint:sha-256 " + fingerprint(p.cert.Fingerprint()),
		"a=setup:" + p.setup}
	for _, c := range candidates {
		transport = append(transport, "a=candidate:"+c.Marshal())
	}
	lines := "v=0\no=- 1 2 IN IP4 127.0.0.1\ns=-\nt=0 0\na=group:BUNDLE 0\n" + dataSection
	if p.media {
		lines = "v=0\no=- 1 2 IN IP4 127.0.0.1\ns=-\nt=0 0\na=group:BUNDLE 0 1\n" + mediaSections
	}
	lines = strings.ReplaceAll(lines, "{transport}", strings.Join(transport, "\n")+"\n")
	return strings.ReplaceAll(lines, "\n", "\r\n"), nil
}

func fingerprint(sum [32]byte) string {
	hex := make([]string, len(sum))
	for i, b := range sum {
		hex[i] = fmt.Sprintf("%02X", b)
	}
	return strings.Join(hex, ":")
}

// serve has the page fetch the offer and tell its answer.
func (p *peer) serve(mux *http.ServeMux) {
	mux.HandleFunc("GET /offer", func(w http.ResponseWriter, _ *http.Request) {
		sdp, err := p.offer()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		json.NewEncoder(w).Encode(description{"offer", sdp}) //nolint:errcheck // The page will tell.
	})
	mux.HandleFunc("POST /answer", func(_ http.ResponseWriter, r *http.Request) {
		var d description
		if err := json.NewDecoder(r.Body).Decode(&d); err == nil {
			p.answers <- d.SDP
		}
	})
}

var errNoAnswer = errors.New("no answer from the page")

// connect waits for the answer and for ICE. It returns what judges the page's certificate.
func (p *peer) connect(ctx context.Context) (net.Conn, func([]byte) error, error) {
	var sdp string
	select {
	case sdp = <-p.answers:
	case <-ctx.Done():
		return nil, nil, errNoAnswer
	}
	attribute := func(name string) string {
		m := regexp.MustCompile(`(?m)^a=` + name + `:(\S+(?: \S+)?)\r?$`).FindStringSubmatch(sdp)
		if m == nil {
			return ""
		}
		return m[1]
	}
	for _, m := range regexp.MustCompile(`(?m)^a=candidate:(.*\S)\s*$`).FindAllStringSubmatch(sdp, -1) {
		if c, err := ice.UnmarshalCandidate(m[1]); err == nil && c.NetworkType() == ice.NetworkTypeUDP4 {
			if err := p.agent.AddRemoteCandidate(c); err != nil {
				return nil, nil, err
			}
		}
	}
	conn, err := p.agent.Dial(ctx, attribute("ice-ufrag"), attribute("ice-pwd"))
	if err != nil {
		return nil, nil, fmt.Errorf("ICE: %w", err)
	}
	want := strings.ToUpper(attribute("fingerprint"))
	return conn, func(der []byte) error {
		if got := "SHA-256 " + fingerprint(dtls13.Certificate{DER: der}.Fingerprint()); got != want {
			return fmt.Errorf("%s, the page said %s", got, want)
		}
		return nil
	}, nil
}
