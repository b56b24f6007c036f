package browser

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A job is what one end of a call is told to do. Times are in milliseconds.
type job struct {
	ID       int    `json:"id"`
	Role     string `json:"role"`    // "offer", "answer" or "gather"
	Offer    string `json:"offer"`   // what to answer
	Profile  string `json:"profile"` // of our own ends
	Server   string `json:"server"`  // a STUN server, "" for none
	Label    string `json:"label"`
	Sizes    []int  `json:"sizes"` // of messages that go to and fro, one after the other
	Bulk     int    `json:"bulk"`  // messages sent at once after these
	BulkSize int    `json:"bulkSize"`
	Hold     int    `json:"hold"`  // how long nothing is said before the offerer closes
	Limit    int    `json:"limit"` // for all of it
}

// A call is one connection between two ends, and what the offerer's host has seen of it.
type call struct {
	job
	kind              kind
	offerer, answerer *seat
	lossy             bool                           // only what the offerer says of it counts: that it is over may be lost
	drop              func(c *call, d datagram) bool // called with mu; nil: everything passes

	answers chan string
	ended   chan error

	mu            sync.Mutex
	home          netip.Addr // the offerer's host
	offer, answer string     // wrapper texts
	packets       []packet
	seen          map[string]int // for drop
}

// A seat is a program that makes calls: a page in a browser or a process of ours.
type seat struct {
	name  string
	jobs  chan job
	hello chan string
	addr  netip.Addr
}

// brokerTime returns how long a description is on its way, through a broker and a front, each as far as half the world or next door:
// never the same, so that a page's milliseconds in answering make no difference.
func brokerTime() time.Duration { return 100*time.Millisecond + rand.N(300*time.Millisecond) }

// A switchboard tells seats what to do and carries their descriptions.
type switchboard struct {
	mu     sync.Mutex
	seats  map[string]*seat
	calls  []*call
	ufrags map[string]*call // by those of offers, and by STUN servers asked
}

func newSwitchboard() *switchboard {
	return &switchboard{seats: map[string]*seat{}, ufrags: map[string]*call{}}
}

func (s *switchboard) seat(name string) *seat {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seats[name] == nil {
		s.seats[name] = &seat{name: name, jobs: make(chan job), hello: make(chan string, 1)}
	}
	return s.seats[name]
}

// do makes a call and returns when both ends have ended.
func (s *switchboard) do(ctx context.Context, c *call) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(c.Limit)*time.Millisecond+15*time.Second)
	defer cancel()
	c.answers, c.ended, c.seen = make(chan string, 1), make(chan error, 2), map[string]int{}
	ends := 2
	if c.answerer != nil {
		c.Role = "offer"
	}
	if c.answerer == nil || c.lossy {
		ends = 1
	}
	s.mu.Lock()
	c.ID, c.home = len(s.calls), c.offerer.addr
	s.calls = append(s.calls, c)
	if to, found := strings.CutPrefix(c.Server, "stun:"); found {
		s.ufrags[to] = c
	}
	s.mu.Unlock()
	if err := c.offerer.tell(ctx, c.job); err != nil {
		return err
	}
	var all error
	for range ends {
		select {
		case err := <-c.ended:
			all = errors.Join(all, err)
		case <-ctx.Done():
			return errors.Join(all, fmt.Errorf("a call from %s: %w", c.offerer.name, ctx.Err()))
		}
	}
	return all
}

func (s *seat) tell(ctx context.Context, j job) error {
	select {
	case s.jobs <- j:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s does not ask: %w", s.name, ctx.Err())
	}
}

var ufragLine = regexp.MustCompile(`a=ice-ufrag:([A-Za-z0-9+/]+)`)

func (s *switchboard) handle(mux *http.ServeMux) {
	mux.HandleFunc("POST /hello", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case s.seat(r.FormValue("who")).hello <- body(r):
		default:
		}
	})
	mux.HandleFunc("GET /job", func(w http.ResponseWriter, r *http.Request) {
		select {
		case j := <-s.seat(r.FormValue("who")).jobs:
			writeJSON(w, j)
		case <-time.After(10 * time.Second):
			w.WriteHeader(http.StatusNoContent)
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("POST /offer", s.withCall(func(w http.ResponseWriter, r *http.Request, c *call, text string) {
		c.mu.Lock()
		c.offer = text
		c.mu.Unlock()
		if m := ufragLine.FindStringSubmatch(text); m != nil {
			s.mu.Lock()
			s.ufrags[m[1]] = c
			s.mu.Unlock()
		}
		time.Sleep(brokerTime())
		j := c.job
		j.Role, j.Offer = "answer", text
		if c.answerer.tell(r.Context(), j) != nil {
			return
		}
		select {
		case answer := <-c.answers:
			time.Sleep(brokerTime())
			io.WriteString(w, answer) //nolint:errcheck // The other end will tell.
		case <-r.Context().Done():
		}
	}))
	mux.HandleFunc("POST /answer", s.withCall(func(_ http.ResponseWriter, _ *http.Request, c *call, text string) {
		c.mu.Lock()
		c.answer = text
		c.mu.Unlock()
		c.answers <- text
	}))
	mux.HandleFunc("POST /done", s.withCall(func(_ http.ResponseWriter, r *http.Request, c *call, text string) {
		var err error
		if text != "" {
			err = fmt.Errorf("%s of call %d, %s of %s, %s: %s", r.FormValue("role"), c.ID, c.kind, c.offerer.name, c.Profile, text)
		}
		if !c.lossy || r.FormValue("role") == "offer" {
			c.ended <- err
		}
	}))
}

func body(r *http.Request) string {
	b, err := io.ReadAll(io.LimitReader(r.Body, 100_000))
	if err != nil {
		return ""
	}
	return string(b)
}

func (s *switchboard) withCall(f func(http.ResponseWriter, *http.Request, *call, string)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id, err := strconv.Atoi(r.FormValue("id"))
		s.mu.Lock()
		ok := err == nil && id >= 0 && id < len(s.calls)
		var c *call
		if ok {
			c = s.calls[id]
		}
		s.mu.Unlock()
		if !ok {
			http.Error(w, "no such call", http.StatusNotFound)
			return
		}
		f(w, r, c, body(r))
	}
}

// find returns the call that a request belongs to, by the username that a check has, or else by where it goes.
func (s *switchboard) find(username, to string) *call {
	a, b, _ := strings.Cut(username, ":")
	s.mu.Lock()
	defer s.mu.Unlock()
	if username == "" {
		return s.ufrags[to]
	}
	if c := s.ufrags[a]; c != nil {
		return c
	}
	return s.ufrags[b]
}

// sdpOf is the SDP in a wrapper text.
func sdpOf(wrapper string) string {
	var d description
	json.Unmarshal([]byte(wrapper), &d) //nolint:errcheck // It is empty then.
	return d.SDP
}
