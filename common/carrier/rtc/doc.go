// Package rtc carries messages over a WebRTC data channel, the hop between a
// client and a volunteer's proxy (spec sections 5 and 6).
//
// The client is always the offerer and calls Endpoint.Dial; the proxy, and the
// NAT probe service, call Endpoint.Answer and then Pending.Wait. Descriptions
// enter and leave as the wrapper text that the broker passes on (package sdp).
// There is no trickle: a description holds every candidate that it will have.
//
// The WebRTC stack, pion/webrtc, is an implementation detail: nothing of it
// shows in what the package offers, so that another stack can take its place.
package rtc
