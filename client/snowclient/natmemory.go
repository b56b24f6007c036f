package snowclient

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"flurry/common/messages"
)

const (
	// natMemoryAge is how long a memory is believed. Each start probes anew, so
	// a wrong one costs no more than its first offer; and who looks into the
	// file is not to learn of last month.
	natMemoryAge = 7 * 24 * time.Hour

	// maxNATFile bounds what is read of the file; it has some 120 bytes.
	maxNATFile = 4 << 10

	// dayLayout dates a memory. The hour is nobody's business.
	dayLayout = time.DateOnly
)

// A NATMemory remembers which kind of NAT the network has in which a client was
// last, so that the first offer of the next session, or of the next start, can
// state it. Transports of one program share one. All methods may be called from
// any goroutine.
//
// Of the network it keeps two bytes of a salted hash of our address in it:
// enough to notice most changes, and too little to tell which network it was.
type NATMemory struct {
	file string // "" for none
	log  *slog.Logger

	mu     sync.Mutex
	loaded bool
	known  natRecord
}

// A natRecord is the file's content, as JSON.
type natRecord struct {
	NAT     messages.NATType `json:"nat"`
	Salt    []byte           `json:"salt"`
	Network []byte           `json:"network"` // hash of our address
	Day     string           `json:"day"`     // when it was learned, in UTC
}

// NewNATMemory returns a memory that lasts in file, or for this process only if
// file is empty. The file is read when it is first needed; one that cannot be
// read or makes no sense is ignored, with one line in log, which may be nil. Its
// directory must exist.
func NewNATMemory(file string, log *slog.Logger) *NATMemory {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &NATMemory{file: file, log: log}
}

// recall returns what is remembered of the network in which our address is
// here, else unknown.
func (m *NATMemory) recall(here netip.Addr) messages.NATType {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.loadLocked()
	if !m.known.holds(here, time.Now()) {
		return messages.NATUnknown
	}
	return m.known.NAT
}

// learn remembers kind.
func (m *NATMemory) learn(here netip.Addr, kind messages.NATType) {
	if !here.IsValid() || kind == messages.NATUnknown {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.loadLocked()
	now := time.Now()
	if m.known.holds(here, now) && m.known.NAT == kind && m.known.Day == now.UTC().Format(dayLayout) {
		return
	}
	r := natRecord{NAT: kind, Salt: make([]byte, 16), Day: now.UTC().Format(dayLayout)}
	rand.Read(r.Salt)
	r.Network = networkHash(r.Salt, here)
	m.known = r
	m.saveLocked()
}

// forget drops what is remembered of the network, which has proved wrong.
func (m *NATMemory) forget(here netip.Addr) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known.holds(here, time.Now()) {
		m.known = natRecord{}
		if m.file != "" {
			os.Remove(m.file) // should that fail, the probe's result replaces it
		}
	}
}

// holds reports whether r is about the network of here, and young enough.
func (r *natRecord) holds(here netip.Addr, now time.Time) bool {
	if !here.IsValid() || len(r.Network) == 0 || string(networkHash(r.Salt, here)) != string(r.Network) {
		return false
	}
	day, err := time.Parse(dayLayout, r.Day)
	age := now.Sub(day)
	return err == nil && age >= -24*time.Hour && age < natMemoryAge // clocks may be a little off
}

// networkHash is what is kept of an address.
func networkHash(salt []byte, a netip.Addr) []byte {
	sum := sha256.Sum256(append(append([]byte(nil), salt...), a.AsSlice()...))
	return sum[:2]
}

// loadLocked reads the file, once.
func (m *NATMemory) loadLocked() {
	if m.loaded || m.file == "" {
		return
	}
	m.loaded = true
	f, err := os.Open(m.file)
	if os.IsNotExist(err) {
		return
	}
	if err == nil {
		defer f.Close()
		err = m.known.read(f)
	}
	if err != nil {
		m.known = natRecord{}
		m.log.Info("what was remembered of the NAT is ignored", "err", err)
	}
}

func (r *natRecord) read(from io.Reader) error {
	text, err := io.ReadAll(io.LimitReader(from, maxNATFile))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, r); err != nil {
		return err
	}
	_, err = messages.ParseNATType(string(r.NAT))
	return err
}

// saveLocked replaces the file as a whole, so that no reader sees half of it.
func (m *NATMemory) saveLocked() {
	if m.file == "" {
		return
	}
	if err := m.known.write(m.file); err != nil {
		m.log.Info("the NAT type is not remembered", "err", err)
	}
}

func (r *natRecord) write(file string) (err error) {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*") // with mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("write %s: %w", filepath.Base(file), err)
	}
	return nil
}
