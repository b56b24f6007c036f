package floors

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestFloors holds the module to the rules.
func TestFloors(t *testing.T) {
	for _, v := range violations(list(t)) {
		t.Error(v)
	}
}

// list asks the go command for every package of the module.
func list(t *testing.T) map[string]pkg {
	t.Helper()
	root, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Path}}\n{{.Dir}}").Output()
	if err != nil {
		t.Fatal("go list -m: ", reason(err))
	}
	module, dir, _ := strings.Cut(strings.TrimSpace(string(root)), "\n")
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports,TestImports,XTestImports,Deps", "./...")
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		t.Fatal("go list: ", reason(err))
	}
	relative := func(paths []string) []string {
		paths = slices.Clone(paths)
		for i, p := range paths {
			if under(p, module) {
				paths[i] = inModule + strings.TrimPrefix(strings.TrimPrefix(p, module), "/")
			}
		}
		return paths
	}
	pkgs := map[string]pkg{}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath                               string
			Imports, TestImports, XTestImports, Deps []string
		}
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal("go list: ", err)
		}
		path := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		pkgs[path] = pkg{imports: relative(p.Imports), testImports: relative(append(p.TestImports, p.XTestImports...)), deps: p.Deps}
	}
	if len(pkgs) < 5 {
		t.Fatalf("go list found only %d packages", len(pkgs))
	}
	return pkgs
}

// reason adds what a command wrote on standard error.
func reason(err error) string {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return err.Error() + "\n" + string(exit.Stderr)
	}
	return err.Error()
}

// TestRules checks that the rules catch what they are for.
func TestRules(t *testing.T) {
	for name, c := range map[string]struct {
		path string
		pkg  pkg
		want string // part of the complaint; empty: none
	}{
		"down":                   {"client/snowclient", pkg{imports: []string{"./client/rendezvous", "./common/messages", "fmt"}}, ""},
		"up":                     {"common/nat", pkg{imports: []string{"./client/rendezvous"}}, "imports point down"},
		"up in a test":           {"common/nat", pkg{testImports: []string{"./test/stage"}}, "imports point down"},
		"libraries":              {"client/snowclient", pkg{imports: []string{"./broker/snowbroker"}}, "one floor"},
		"libraries in a test":    {"client/snowclient", pkg{testImports: []string{"./broker/snowbroker"}}, "one floor"},
		"floor 0":                {"common/messages", pkg{imports: []string{"./common/sdp"}}, "one floor"},
		"floor 0 in a test":      {"common/messages", pkg{testImports: []string{"./common/vectors", "./common/messages"}}, ""},
		"vectors in a program":   {"common/messages", pkg{imports: []string{"./common/vectors"}}, "one floor"},
		"floor 1":                {"common/turbotunnel", pkg{imports: []string{"./common/carrier/rtc"}}, ""},
		"multipath":              {"common/multipath", pkg{imports: []string{"./common/turbotunnel"}}, "banned"},
		"multipath in a test":    {"common/multipath", pkg{testImports: []string{"./common/turbotunnel"}}, "banned"},
		"demo":                   {"demo", pkg{imports: []string{"./test/stage"}}, ""},
		"program and stage":      {"client", pkg{imports: []string{"./test/stage"}}, "one floor"},
		"standard library only":  {"common/encapsulation", pkg{imports: []string{"io", "golang.org/x/net/idna"}}, "standard library"},
		"pion in a server":       {"server", pkg{deps: []string{"io", "github.com/pion/webrtc/v4"}}, "github.com/pion"},
		"pion in its library":    {"server/snowserver", pkg{deps: []string{"github.com/pion/stun/v3"}}, "github.com/pion"},
		"pion in a proxy":        {"proxy", pkg{deps: []string{"github.com/pion/webrtc/v4"}}, ""},
		"NATS in a broker":       {"broker", pkg{deps: []string{"github.com/nats-io/nats.go"}}, ""},
		"NATS in a client":       {"client", pkg{deps: []string{"github.com/nats-io/nats.go"}}, "github.com/nats-io"},
		"AWS in a broker":        {"broker/snowbroker", pkg{deps: []string{"github.com/aws/aws-sdk-go-v2/service/sqs"}}, ""},
		"AWS in a client":        {"client", pkg{deps: []string{"github.com/aws/aws-sdk-go-v2/service/sqs"}}, ""},
		"AWS in a library":       {"client/snowclient", pkg{deps: []string{"github.com/aws/smithy-go"}}, "github.com/aws"},
		"AWS in another":         {"proxy/snowproxy", pkg{deps: []string{"github.com/aws/smithy-go"}}, "github.com/aws"},
		"QUIC in a proxy":        {"proxy/snowproxy", pkg{deps: []string{"github.com/quic-go/quic-go/http3"}}, ""},
		"QUIC in a client":       {"client/snowclient", pkg{deps: []string{"github.com/quic-go/quic-go"}}, "github.com/quic-go"},
		"a name that only looks": {"server", pkg{deps: []string{"github.com/pionier/x"}}, ""},
		"unplaced":               {"common/newcomer", pkg{}, "no floor"},
	} {
		t.Run(name, func(t *testing.T) {
			pkgs := map[string]pkg{}
			for path := range floorOf {
				pkgs[path] = pkg{}
			}
			pkgs[c.path] = c.pkg
			got := violations(pkgs)
			switch {
			case c.want == "" && len(got) > 0:
				t.Errorf("complains: %q", got)
			case c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want)):
				t.Errorf("says %q, want one complaint with %q", got, c.want)
			}
		})
	}
	t.Run("gone", func(t *testing.T) {
		pkgs := map[string]pkg{}
		for path := range floorOf {
			pkgs[path] = pkg{}
		}
		delete(pkgs, "fuzz")
		if got := violations(pkgs); len(got) != 1 || !strings.Contains(got[0], "does not exist") {
			t.Errorf("says %q", got)
		}
	})
}
