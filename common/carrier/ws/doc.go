// Package ws carries messages over WebSocket, the hop between a proxy and the
// bridge (spec section 8.1).
//
// Message edges carry no meaning there, so a Conn promises a byte stream. Both
// ends send binary messages and take binary and text alike. No compression, no
// subprotocol, HTTP/1.1 only.
package ws
