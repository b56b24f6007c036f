// Package covert makes HTTP requests that look like a browser's.
//
// It stands below the rendezvous methods (package flurry/client/rendezvous):
//
//	rendezvous.HTTP ── http.Request ─▶ covert.Transport ─▶ TLS ─▶ front or broker
//
// A Transport is an http.RoundTripper of its own, because net/http fixes the
// order of headers, the HTTP/2 settings and the order of HTTP/2 pseudo headers
// in ways that no browser does. For one browser version, called a profile, it
// imitates together:
//
//   - the TLS ClientHello, through uTLS (hello.go; of current browsers browser.go);
//   - the HTTP/2 connection preface: settings, window, priorities, and how a
//     request is cut into frames and TLS records (profile.go, h2request.go);
//   - names, values, spelling and order of the request headers, those of a
//     page's own fetch() with a text body (profile.go, header.go).
//
// The ALPN result of a connection decides the protocol spoken on it, so no
// connection is dialled only to learn that it speaks the other one. Connections
// are kept for the next request to the same host and end after IdleTimeout or
// with Close.
//
// The current browsers are held to the real ones by TestFrontLooks of package
// flurry/test/browser. What is not imitated: TLS session resumption, and the
// requests for pages and images that a browser would make before and after.
package covert
