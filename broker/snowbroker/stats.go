package snowbroker

import (
	"cmp"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"flurry/common/messages"
)

// statsInterval is how often the metrics log gets a report, and what a report
// covers (wire specification, section 4.6).
const statsInterval = 86400 * time.Second

// binSize is what published counts are rounded up to, so that they tell little
// of any one person.
const binSize = 8

// maxStatAddrs bounds each set of distinct addresses, so that a flood of forged
// addresses does not fill the memory; 500,000 take some 30 MB.
const maxStatAddrs = 500_000

// unknownCountry stands for an address that no country is known for.
const unknownCountry = "??"

// outcome is how a client's request for a proxy ended.
type outcome string

const (
	outcomeMatched outcome = "matched"
	outcomeDenied  outcome = "denied"
	outcomeTimeout outcome = "timeout"
)

// stats counts the events of one interval and writes the metrics log.
type stats struct {
	maxAddrs int // bound on each set of addresses; fixed

	mu sync.Mutex
	c  statsCounts // guarded by mu
}

// statsCounts is what one report tells.
type statsCounts struct {
	idle                               uint64 // polls that ended without a client
	withPattern, withoutPattern        uint64 // polls by whether they name a relay pattern
	rejected                           uint64 // polls refused for their relay pattern
	denied                             uint64 // clients that found no proxy ...
	deniedRestricted, deniedUnrestrict uint64 // ... by their NAT
	matched, timeout                   uint64 // clients by how it ended
	httpPolls                          uint64 // clients that came by HTTP
	httpCountries                      map[string]uint64

	countries map[string]uint64 // distinct proxy addresses by country
	byType    map[messages.ProxyType]map[netip.Addr]struct{}
	byNAT     map[messages.NATType]map[netip.Addr]struct{}
	all       map[netip.Addr]struct{}
}

func newStats(maxAddrs int) *stats {
	return &stats{maxAddrs: maxAddrs, c: newStatsCounts()}
}

func newStatsCounts() statsCounts {
	return statsCounts{
		httpCountries: make(map[string]uint64),
		countries:     make(map[string]uint64),
		byType:        make(map[messages.ProxyType]map[netip.Addr]struct{}),
		byNAT:         make(map[messages.NATType]map[netip.Addr]struct{}),
		all:           make(map[netip.Addr]struct{}),
	}
}

// pollSeen counts a poll that was understood.
func (s *stats) pollSeen(withPattern, accepted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if withPattern {
		s.c.withPattern++
	} else {
		s.c.withoutPattern++
	}
	if !accepted {
		s.c.rejected++
	}
}

// proxyAddr counts the address of an accepted poll. It tells whether the
// address is new in this interval.
func (s *stats) proxyAddr(a netip.Addr, k Kind, country string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	addAddr(s.c.byNAT, k.NAT, a, s.maxAddrs)
	if len(s.c.all) >= s.maxAddrs {
		return false
	}
	if _, known := s.c.all[a]; known {
		return false
	}
	s.c.all[a] = struct{}{}
	s.c.countries[country]++
	addAddr(s.c.byType, k.Type, a, s.maxAddrs)
	return true
}

func addAddr[K comparable](sets map[K]map[netip.Addr]struct{}, k K, a netip.Addr, limit int) {
	set := sets[k]
	if set == nil {
		set = make(map[netip.Addr]struct{})
		sets[k] = set
	}
	if len(set) < limit {
		set[a] = struct{}{}
	}
}

// pollIdle counts a poll that ended without a client.
func (s *stats) pollIdle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.c.idle++
}

// client counts how a client's request ended.
func (s *stats) client(o outcome, nat messages.NATType, country string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.c.httpPolls++
	s.c.httpCountries[country]++
	switch o {
	case outcomeMatched:
		s.c.matched++
	case outcomeTimeout:
		s.c.timeout++
	case outcomeDenied:
		s.c.denied++
		if nat == messages.NATUnrestricted {
			s.c.deniedUnrestrict++
		} else {
			s.c.deniedRestricted++
		}
	}
}

// report writes the counts of the interval that ends at now and starts the
// next one. Rendezvous methods that this broker does not serve stand in the
// report with zero, for its readers.
func (s *stats) report(w io.Writer, now time.Time) error {
	s.mu.Lock()
	c := s.c
	s.c = newStatsCounts()
	s.mu.Unlock()
	_, err := io.WriteString(w, c.text(now))
	return err
}

// text is the report in the form of wire specification, section 4.6.
func (c *statsCounts) text(now time.Time) string {
	var b strings.Builder
	line := func(keyword, value string) { b.WriteString(keyword + " " + value + "\n") }
	exact := func(keyword string, n int) { line(keyword, strconv.Itoa(n)) }
	binned := func(keyword string, n uint64) { line(keyword, strconv.FormatUint(binCount(n), 10)) }

	line("snowflake-stats-end", fmt.Sprintf("%s (%d s)",
		now.UTC().Format("2006-01-02 15:04:05"), int(statsInterval.Seconds())))
	line("snowflake-ips", countryList(c.countries, false))
	for _, t := range messages.KnownProxyTypes() {
		exact("snowflake-ips-"+string(t), len(c.byType[t]))
	}
	exact("snowflake-ips-total", len(c.all))
	binned("snowflake-idle-count", c.idle)
	binned("snowflake-proxy-poll-with-relay-url-count", c.withPattern)
	binned("snowflake-proxy-poll-without-relay-url-count", c.withoutPattern)
	binned("snowflake-proxy-rejected-for-relay-url-count", c.rejected)
	binned("client-denied-count", c.denied)
	binned("client-restricted-denied-count", c.deniedRestricted)
	binned("client-unrestricted-denied-count", c.deniedUnrestrict)
	binned("client-snowflake-match-count", c.matched)
	binned("client-snowflake-timeout-count", c.timeout)
	binned("client-http-count", c.httpPolls)
	line("client-http-ips", countryList(c.httpCountries, true))
	binned("client-ampcache-count", 0)
	line("client-ampcache-ips", "")
	binned("client-sqs-count", 0)
	line("client-sqs-ips", "")
	for _, n := range []messages.NATType{messages.NATRestricted, messages.NATUnrestricted, messages.NATUnknown} {
		exact("snowflake-ips-nat-"+string(n), len(c.byNAT[n]))
	}
	return b.String()
}

// binCount rounds n up to a multiple of binSize. It wraps to 0 where that
// multiple does not fit, as the deployed broker's does.
func binCount(n uint64) uint64 {
	return (n + binSize - 1) / binSize * binSize
}

// countryList writes counts as CC=n,CC=n: largest first, equal ones by code.
// The order is that of the numbers shown.
func countryList(counts map[string]uint64, binned bool) string {
	type entry struct {
		country string
		n       uint64
	}
	list := make([]entry, 0, len(counts))
	for cc, n := range counts {
		if binned {
			n = binCount(n)
		}
		list = append(list, entry{cc, n})
	}
	slices.SortFunc(list, func(a, b entry) int {
		return cmp.Or(cmp.Compare(b.n, a.n), cmp.Compare(a.country, b.country))
	})
	var b strings.Builder
	for i, e := range list {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%s=%d", e.country, e.n)
	}
	return b.String()
}
