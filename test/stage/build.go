package stage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// Programs names the program file of each role. They need not come from this module: a deployed client or proxy takes part
// like ours, since every flag that a program does not list under -h is left out of its command line.
type Programs struct {
	Client, Broker, Proxy, Server string
}

// Build builds the four programs of this module into dir. It must run somewhere inside the module. In a binary with the race
// detector the programs get it as well, unless this machine cannot link it (no C compiler).
func Build(ctx context.Context, dir string) (Programs, error) {
	root, err := moduleRoot(ctx)
	if err != nil {
		return Programs{}, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return Programs{}, fmt.Errorf("build the programs: %w", err)
	}
	out, err := goBuild(ctx, root, dir, RaceEnabled)
	if err != nil && RaceEnabled && ctx.Err() == nil && (bytes.Contains(out, []byte("cgo")) || bytes.Contains(out, []byte("gcc"))) {
		out, err = goBuild(ctx, root, dir, false)
	}
	if err != nil {
		return Programs{}, fmt.Errorf("build the programs: %w\n%s", err, out)
	}
	file := func(name string) string {
		if runtime.GOOS == "windows" {
			name += ".exe"
		}
		return filepath.Join(dir, name)
	}
	return Programs{Client: file("client"), Broker: file("broker"), Proxy: file("proxy"), Server: file("server")}, nil
}

func goBuild(ctx context.Context, root, dir string, race bool) ([]byte, error) {
	args := []string{"build", "-o", dir + string(filepath.Separator)}
	if race {
		args = append(args, "-race")
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "./client", "./broker", "./proxy", "./server")...)
	cmd.Dir = root
	return cmd.CombinedOutput()
}

// moduleRoot finds the directory of the go.mod that governs the working directory.
func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("run the go command, which builds the programs: %w", err)
	}
	file := strings.TrimSpace(string(out))
	if file == "" || file == os.DevNull {
		return "", errors.New("not inside the module: run this from the source tree")
	}
	return filepath.Dir(file), nil
}

// flagsOf lists the flags a program names under -h.
func flagsOf(ctx context.Context, program string) (map[string]bool, error) {
	// The exit status of -h is 0 or 2, depending on the program; what counts is that there is a list.
	out, err := exec.CommandContext(ctx, program, "-h").CombinedOutput()
	flags := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		line = strings.TrimLeft(line, " \t")
		if name, ok := strings.CutPrefix(line, "-"); ok {
			if f := strings.Fields(name); len(f) > 0 {
				flags[strings.TrimLeft(f[0], "-")] = true
			}
		}
	}
	if len(flags) == 0 {
		return nil, fmt.Errorf("%s -h lists no flags: %v\n%s", program, err, out)
	}
	return flags, nil
}
