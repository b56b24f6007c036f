package interop

import (
	"encoding/hex"
	"fmt"
	"net"
	"net/textproto"
	"os"
	"strings"
	"testing"
	"time"
)

// info asks a tor over its control port, GETINFO key.
func (node *torNode) info(t *testing.T, key string) string {
	t.Helper()
	text, err := node.getInfo(key)
	if err != nil {
		t.Fatalf("ask tor %s for %s: %v\n%s", node.nickname, key, err, node.state())
	}
	return text
}

func (node *torNode) getInfo(key string) (string, error) {
	port, err := os.ReadFile(node.file("control"))
	if err != nil {
		return "", err
	}
	addr, ok := strings.CutPrefix(strings.TrimSpace(string(port)), "PORT=")
	if !ok {
		return "", fmt.Errorf("control port file says %q", port)
	}
	cookie, err := os.ReadFile(node.file("control_auth_cookie"))
	if err != nil {
		return "", err
	}
	nc, err := net.DialTimeout("tcp", addr, startLimit)
	if err != nil {
		return "", err
	}
	if err := nc.SetDeadline(time.Now().Add(startLimit)); err != nil {
		return "", err
	}
	c := textproto.NewConn(nc)
	defer c.Close()
	if _, err := controlCommand(c, "AUTHENTICATE "+hex.EncodeToString(cookie)); err != nil {
		return "", err
	}
	reply, err := controlCommand(c, "GETINFO "+key)
	if err != nil {
		return "", err
	}
	text, ok := strings.CutPrefix(reply, key+"=")
	if !ok {
		return "", fmt.Errorf("reply %q", reply)
	}
	return strings.Trim(text, "\n"), nil
}

// controlCommand does one command of tor's control protocol and returns the text of the reply, without its last line.
func controlCommand(c *textproto.Conn, command string) (string, error) {
	if err := c.PrintfLine("%s", command); err != nil {
		return "", err
	}
	var text strings.Builder
	for {
		line, err := c.ReadLine()
		if err != nil {
			return "", err
		}
		if len(line) < 4 || line[:3] != "250" {
			return "", fmt.Errorf("reply %q", line)
		}
		if line[3] == ' ' {
			return text.String(), nil
		}
		text.WriteString(line[4:] + "\n")
		if line[3] == '+' {
			data, err := c.ReadDotLines()
			if err != nil {
				return "", err
			}
			text.WriteString(strings.Join(data, "\n") + "\n")
		}
	}
}

// circuitOf returns the relays of the circuit that carries the stream to target, by nickname, the nearest first.
func (node *torNode) circuitOf(t *testing.T, target string) []string {
	t.Helper()
	streams := node.info(t, "stream-status")
	var circuit string
	for line := range strings.Lines(streams) {
		// "StreamID Status CircuitID Target"
		if f := strings.Fields(line); len(f) >= 4 && f[1] == "SUCCEEDED" && f[3] == target {
			circuit = f[2]
		}
	}
	if circuit == "" {
		t.Fatalf("no stream to %s:\n%s", target, streams)
	}
	circuits := node.info(t, "circuit-status")
	for line := range strings.Lines(circuits) {
		// "CircuitID BUILT $FINGERPRINT~nickname,... ..."
		if f := strings.Fields(line); len(f) >= 3 && f[0] == circuit && f[1] == "BUILT" {
			var names []string
			for _, hop := range strings.Split(f[2], ",") {
				_, name, _ := strings.Cut(hop, "~")
				names = append(names, name)
			}
			return names
		}
	}
	t.Fatalf("no circuit %s:\n%s", circuit, circuits)
	return nil
}
