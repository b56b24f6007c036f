package stage

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// DefaultFingerprint is the fingerprint of the bridge for clients that name none.
const DefaultFingerprint = "2B280B23E1107BB62ABFC40DDCC8824814F80A72"

// Fingerprint is the i-th of the fingerprints beside the default one, i from 0 to Options.Bridges-1. All of them lead to the
// same server. Connections with different fingerprints are different configurations, hence different sessions.
func Fingerprint(i int) string { return fmt.Sprintf("%040X", 0xF1000000+i) }

// allowedRelay is the relay pattern of a stage: its server, exactly.
func (s *Stage) allowedRelay() string { return "^" + s.net.Bridge.Addrs()[0] + "$" }

func (s *Stage) bridgeFile() string { return filepath.Join(s.dir, "bridges.jsonl") }
func (s *Stage) pollFile() string   { return filepath.Join(s.dir, "poll-interval.json") }

func (s *Stage) writeBrokerFiles() error {
	relay := s.RelayURL()
	if s.opt.RelayURL != "" {
		relay = s.opt.RelayURL
	}
	fingerprints := []string{DefaultFingerprint}
	for i := range s.opt.Bridges {
		fingerprints = append(fingerprints, Fingerprint(i))
	}
	var bridges strings.Builder
	for i, f := range fingerprints {
		line, err := json.Marshal(map[string]string{"displayName": fmt.Sprintf("stage-%d", i), "webSocketAddress": relay, "fingerprint": f})
		if err != nil {
			return fmt.Errorf("write the bridge list: %w", err)
		}
		bridges.Write(append(line, '\n'))
	}
	if err := os.WriteFile(s.bridgeFile(), []byte(bridges.String()), 0o600); err != nil {
		return fmt.Errorf("write the bridge list: %w", err)
	}
	interval := s.opt.PollInterval
	if interval == 0 {
		interval = time.Second
	}
	ms := interval.Milliseconds()
	text := fmt.Sprintf(`{"unrestricted_poll_interval": %d, "restricted_poll_interval": %d}`, ms, ms)
	if err := os.WriteFile(s.pollFile(), []byte(text), 0o600); err != nil {
		return fmt.Errorf("write the poll interval: %w", err)
	}
	return nil
}
