//go:build !linux

package stage

import (
	"errors"
	"fmt"
	"syscall"
)

func childAttr() *syscall.SysProcAttr { return nil }

func usageOf(int) (Usage, error) {
	return Usage{}, fmt.Errorf("usage of a process: %w", errors.ErrUnsupported)
}
