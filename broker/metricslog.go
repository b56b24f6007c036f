package main

import (
	"fmt"
	"io"
	"os"
	"sync"
)

// metricsLog is where reports are appended: a file that can be opened anew
// after a log rotation, or standard output.
type metricsLog struct {
	path string // "": standard output

	mu   sync.Mutex
	out  io.Writer // guarded by mu
	file *os.File  // guarded by mu; out, if it is a file
}

func openMetricsLog(path string, stdout io.Writer) (*metricsLog, error) {
	m := &metricsLog{path: path, out: stdout}
	if err := m.reopen(); err != nil {
		return nil, err
	}
	return m, nil
}

// reopen opens the file anew; on error the old one stays in use.
func (m *metricsLog) reopen() error {
	if m.path == "" {
		return nil
	}
	f, err := os.OpenFile(m.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("open metrics log: %w", err)
	}
	m.mu.Lock()
	old := m.file
	m.out, m.file = f, f
	m.mu.Unlock()
	if old != nil {
		old.Close()
	}
	return nil
}

// Write appends p.
func (m *metricsLog) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.out.Write(p)
}

func (m *metricsLog) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.file != nil {
		m.file.Close()
	}
}
