package covert

import "golang.org/x/net/http2"

// A profile is what one browser version shows above TLS.
//
// The values of old versions come from public collections of browser
// fingerprints (the "settings|window update|priorities|pseudo headers" notation
// widely used for HTTP/2) and the browsers' own sources; the hello of the same
// version comes from uTLS. Those of the current ones are in browser.go.
type profile struct {
	// headers holds the fields of a page's fetch() to its own origin, in the
	// browser's order.
	headers []templateField
	// bodyApart is set if a body of HTTP/1.1 leaves after the head, in a TLS
	// record of its own.
	bodyApart bool
	h2        h2Profile
}

// A templateField is one request header. The spelling of the name is HTTP/1.1's;
// HTTP/2 always sends lower case. An empty value is computed from the request.
type templateField struct {
	name, value string
	only        scope
}

// A scope limits a header to some requests. Zero means every request.
type scope uint8

const (
	onlyHTTP1  scope = 1 << iota // connection management of HTTP/1.1
	onlyHTTP2                    // fields a browser sends on HTTP/2 only
	onlySecure                   // fields a browser sends to https only
	onlyPlain                    // the value differs for http
	onlyBody                     // needs a request body
)

// An h2Profile is how a browser opens an HTTP/2 connection.
type h2Profile struct {
	settings     []http2.Setting // in this order
	windowUpdate uint32          // added to the connection's 65535
	priorities   []h2Priority    // idle streams that group others, Firefox only
	firstStream  uint32
	priority     http2.PriorityParam // in each request's HEADERS; zero: none
	streamUpdate uint32              // added to each stream's window with its HEADERS
	firstPiece   int                 // of a body, together with the head as HTTP/1.1 would have it; 0: no bound
	pseudo       []string            // order of the four pseudo headers
}

// An h2Priority is a PRIORITY frame sent with the preface.
type h2Priority struct {
	stream uint32
	param  http2.PriorityParam
}

// setting returns the value the profile announces for id, or the protocol's
// default (RFC 9113, section 6.5.2).
func (p *h2Profile) setting(id http2.SettingID, fallback uint32) uint32 {
	for _, s := range p.settings {
		if s.ID == id {
			return s.Val
		}
	}
	return fallback
}

// chromeOld is a Chrome on Windows from before client hints and fetch metadata.
func chromeOld(version string) profile {
	return profile{
		headers: []templateField{
			{"Host", "", onlyHTTP1},
			{"Connection", "keep-alive", onlyHTTP1},
			{"Content-Length", "", onlyBody},
			{"Origin", "", onlyBody},
			{"User-Agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/" + version + " Safari/537.36", 0},
			{"Content-Type", "text/plain;charset=UTF-8", onlyBody},
			{"Accept", "*/*", 0},
			{"Referer", "", 0},
			{"Accept-Encoding", "gzip, deflate, br", onlySecure},
			{"Accept-Encoding", "gzip, deflate", onlyPlain},
			{"Accept-Language", "en-US,en;q=0.9", 0},
		},
		h2: h2Profile{
			settings: []http2.Setting{
				{ID: http2.SettingHeaderTableSize, Val: 65536},
				{ID: http2.SettingMaxConcurrentStreams, Val: 1000},
				{ID: http2.SettingInitialWindowSize, Val: 6291456},
			},
			windowUpdate: 15663105,
			firstStream:  1,
			priority:     http2.PriorityParam{Exclusive: true, Weight: 219},
			pseudo:       []string{":method", ":authority", ":scheme", ":path"},
		},
	}
}

// firefoxHTTP2 is the opening of Firefox 55 to 65: its tree of idle streams,
// under which fetch() hangs on stream 13 with weight 42 (the wire has it less one).
func firefoxHTTP2() h2Profile {
	return h2Profile{
		settings: []http2.Setting{
			{ID: http2.SettingHeaderTableSize, Val: 65536},
			{ID: http2.SettingInitialWindowSize, Val: 131072},
			{ID: http2.SettingMaxFrameSize, Val: 16384},
		},
		windowUpdate: 12517377,
		priorities: []h2Priority{
			{3, http2.PriorityParam{Weight: 200}},
			{5, http2.PriorityParam{Weight: 100}},
			{7, http2.PriorityParam{}},
			{9, http2.PriorityParam{StreamDep: 7}},
			{11, http2.PriorityParam{StreamDep: 3}},
			{13, http2.PriorityParam{Weight: 240}},
		},
		firstStream: 15,
		priority:    http2.PriorityParam{StreamDep: 13, Weight: 41},
		pseudo:      []string{":method", ":path", ":authority", ":scheme"},
	}
}

// firefoxOld is a Firefox on Windows from before fetch metadata.
func firefoxOld(version string) profile {
	return profile{
		headers: []templateField{
			{"Host", "", onlyHTTP1},
			{"User-Agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:" + version + ") Gecko/20100101 Firefox/" + version, 0},
			{"Accept", "*/*", 0},
			{"Accept-Language", "en-US,en;q=0.5", 0},
			{"Accept-Encoding", "gzip, deflate, br", onlySecure},
			{"Accept-Encoding", "gzip, deflate", onlyPlain},
			{"Referer", "", 0},
			{"Content-Type", "text/plain;charset=UTF-8", onlyBody},
			{"Origin", "", onlyBody},
			{"Content-Length", "", onlyBody},
			{"Connection", "keep-alive", onlyHTTP1},
			{"TE", "trailers", onlyHTTP2},
		},
		h2: firefoxHTTP2(),
	}
}

// safari is Safari on an iPhone; encodings is its Accept-Encoding for https and
// window its HTTP/2 stream window.
func safari(agent, encodings string, window uint32) profile {
	return profile{
		headers: []templateField{
			{"Host", "", onlyHTTP1},
			{"Accept", "*/*", 0},
			{"Content-Type", "text/plain;charset=UTF-8", onlyBody},
			{"Origin", "", onlyBody},
			{"Connection", "keep-alive", onlyHTTP1},
			{"Content-Length", "", onlyBody},
			{"Accept-Language", "en-us", 0},
			{"User-Agent", agent, 0},
			{"Referer", "", 0},
			{"Accept-Encoding", encodings, onlySecure},
			{"Accept-Encoding", "gzip, deflate", onlyPlain},
		},
		h2: h2Profile{
			settings: []http2.Setting{
				{ID: http2.SettingInitialWindowSize, Val: window},
				{ID: http2.SettingMaxConcurrentStreams, Val: 100},
			},
			windowUpdate: 10485760,
			firstStream:  1,
			priority:     http2.PriorityParam{Weight: 254},
			pseudo:       []string{":method", ":scheme", ":path", ":authority"},
		},
	}
}

func ios14() profile {
	return safari("Mozilla/5.0 (iPhone; CPU iPhone OS 14_8 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/14.1.2 Mobile/15E148 Safari/604.1",
		"gzip, deflate, br", 2097152)
}

func ios12() profile {
	return safari("Mozilla/5.0 (iPhone; CPU iPhone OS 12_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/12.0 Mobile/15E148 Safari/604.1",
		"br, gzip, deflate", 1048576)
}

func ios11() profile {
	return safari("Mozilla/5.0 (iPhone; CPU iPhone OS 11_1 like Mac OS X) AppleWebKit/604.3.5 (KHTML, like Gecko) Version/11.0 Mobile/15B93 Safari/604.1",
		"br, gzip, deflate", 1048576)
}
