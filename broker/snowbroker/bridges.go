package snowbroker

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"flurry/common/messages"
)

// A Bridge is one server that clients can ask for.
type Bridge struct {
	Name        string // shown nowhere on the wire
	URL         string // what proxies dial; not checked here, for proxies have the say
	Fingerprint messages.Fingerprint
}

// Bridges is the list of bridges a broker sends clients to. It does not change
// once made, so any number of goroutines may read it.
type Bridges struct {
	byFingerprint map[messages.Fingerprint]Bridge
}

// The built-in bridge of wire specification, section 4.3.
const (
	defaultBridgeName = "default"
	defaultBridgeURL  = "wss://snowflake.torproject.net/"
)

// maxBridgeLine bounds a line of a bridge list. The deployed broker stops
// reading in silence at this length; here it is an error.
const maxBridgeLine = 64 << 10

// DefaultBridges is the list in force without a bridge list file: the one
// bridge that clients without a fingerprint mean.
func DefaultBridges() *Bridges {
	fp := messages.DefaultFingerprint
	return &Bridges{byFingerprint: map[messages.Fingerprint]Bridge{
		fp: {Name: defaultBridgeName, URL: defaultBridgeURL, Fingerprint: fp},
	}}
}

// ReadBridges reads a bridge list: one JSON object a line, with the members
// displayName, webSocketAddress and fingerprint. A blank line, an unknown
// member or a bad fingerprint rejects the whole list; of two lines with the
// same fingerprint the later counts.
func ReadBridges(r io.Reader) (*Bridges, error) {
	b := &Bridges{byFingerprint: make(map[messages.Fingerprint]Bridge)}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxBridgeLine)
	for n := 1; lines.Scan(); n++ {
		bridge, err := parseBridge(lines.Bytes())
		if err != nil {
			return nil, fmt.Errorf("bridge list line %d: %w", n, err)
		}
		b.byFingerprint[bridge.Fingerprint] = bridge
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("bridge list: %w", err)
	}
	return b, nil
}

func parseBridge(line []byte) (Bridge, error) {
	var in struct {
		DisplayName      string `json:"displayName"`
		WebSocketAddress string `json:"webSocketAddress"`
		Fingerprint      string `json:"fingerprint"`
	}
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil { // what follows the object is ignored
		if errors.Is(err, io.EOF) {
			err = errors.New("blank line")
		}
		return Bridge{}, err
	}
	fp, err := messages.ParseBridgeFingerprint(in.Fingerprint)
	if err != nil {
		return Bridge{}, err
	}
	return Bridge{Name: in.DisplayName, URL: in.WebSocketAddress, Fingerprint: fp}, nil
}

// Lookup finds the bridge with that fingerprint.
func (b *Bridges) Lookup(fp messages.Fingerprint) (Bridge, bool) {
	bridge, ok := b.byFingerprint[fp]
	return bridge, ok
}

// Len is the number of bridges.
func (b *Bridges) Len() int { return len(b.byFingerprint) }

// acceptsRelays tells whether a proxy that serves the relay names of pattern is
// of use to a broker whose bridges all match want: its pattern must cover want.
// A poll that names no pattern (nil) is never accepted.
func acceptsRelays(want messages.RelayPattern, pattern *string) bool {
	return pattern != nil && messages.ParseRelayPattern(*pattern).Covers(want)
}
