package covert

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// A field is one header line.
type field struct{ name, value string }

// An outgoing is a request ready to be written on either protocol.
type outgoing struct {
	method string
	scheme string
	host   string // Host header or :authority
	target string // path and query
	header http.Header
	body   []byte
}

// newOutgoing checks req and takes from it what goes on the wire.
func newOutgoing(req *http.Request, body []byte) (*outgoing, error) {
	o := &outgoing{
		method: req.Method,
		scheme: req.URL.Scheme,
		host:   req.Host,
		target: req.URL.RequestURI(),
		header: req.Header,
		body:   body,
	}
	if o.method == "" {
		o.method = http.MethodGet
	}
	if o.host == "" {
		o.host = req.URL.Host
	}
	if !httpguts.ValidHeaderFieldName(o.method) || o.method == http.MethodConnect {
		return nil, fmt.Errorf("method %q cannot be sent", o.method)
	}
	if !httpguts.ValidHostHeader(o.host) || !strings.HasPrefix(o.target, "/") {
		return nil, errors.New("bad host or path in the request")
	}
	for name, values := range o.header {
		if !httpguts.ValidHeaderFieldName(name) {
			return nil, fmt.Errorf("bad header name %q", name)
		}
		for _, v := range values {
			if !httpguts.ValidHeaderFieldValue(v) {
				return nil, fmt.Errorf("bad value of header %q", name)
			}
		}
	}
	return o, nil
}

// hasBody reports whether the browser would give the request a length.
func (o *outgoing) hasBody() bool {
	return len(o.body) > 0 || o.method == http.MethodPost || o.method == http.MethodPut || o.method == http.MethodPatch
}

// wants reports whether a header of scope s goes with the request.
func (o *outgoing) wants(s scope, http2 bool) bool {
	secure := o.scheme == "https"
	switch {
	case s&onlyHTTP1 != 0 && http2, s&onlyHTTP2 != 0 && !http2,
		s&onlySecure != 0 && !secure, s&onlyPlain != 0 && secure,
		s&onlyBody != 0 && !o.hasBody():
		return false
	}
	return true
}

// fields lists the headers in the order of the profile. A header the caller set
// replaces the profile's at its place, and an empty value drops it; further ones
// of the caller follow in alphabetical order. The headers that manage the
// connection and frame the body are not the caller's to set.
func (o *outgoing) fields(p *profile, http2 bool) []field {
	rest := make(map[string]string)
	for name, values := range o.header {
		if name = http.CanonicalHeaderKey(name); !managed(name) {
			rest[name] = strings.Join(values, ", ")
		}
	}
	var out []field
	for _, t := range p.headers {
		if !o.wants(t.only, http2) {
			continue
		}
		name := http.CanonicalHeaderKey(t.name)
		value, set := rest[name]
		if !set {
			value = o.value(t)
		}
		delete(rest, name)
		if value != "" {
			out = append(out, field{t.name, value})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(rest)) {
		if rest[name] != "" {
			out = append(out, field{name, rest[name]})
		}
	}
	return out
}

// value computes the value of a profile's header for this request.
func (o *outgoing) value(t templateField) string {
	switch {
	case t.value != "":
		return t.value
	case t.name == "Host":
		return o.host
	case t.name == "Content-Length":
		return strconv.Itoa(len(o.body))
	case t.name == "Origin":
		return o.scheme + "://" + o.host
	case t.name == "Referer":
		return o.scheme + "://" + o.host + "/"
	}
	return ""
}

// managed reports whether the Transport alone decides about a header, given in
// canonical form.
func managed(name string) bool {
	switch name {
	case "Host", "Connection", "Content-Length", "Transfer-Encoding", "Keep-Alive",
		"Proxy-Connection", "Upgrade", "Te", "Trailer", "Expect":
		return true
	}
	return false
}
