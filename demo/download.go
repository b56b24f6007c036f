package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
	"sync"
	"time"

	"flurry/test/stage"
)

const (
	megabyte = 1_000_000
	// redraw is the pace of the progress bar and of looking who carries the traffic.
	redraw = 200 * time.Millisecond
	// stallLimit is how long the download may stand still. Losing a volunteer without a word costs some 20 seconds at worst.
	stallLimit = 90 * time.Second
	// carried is what a volunteer must have moved to be named as one that took part; a keepalive is far less.
	carried = 200_000
)

var errStall = fmt.Errorf("nothing arrived for %v", stallLimit)

// A download is one fetch through the whole path. The goroutine of run owns it, but for what mu guards.
type download struct {
	// fixed after construction
	stage    *stage.Stage
	cfg      config
	out      io.Writer
	terminal bool
	size     int64

	// owned by run
	start     time.Time
	took      time.Duration
	carriers  []*carrier
	killed    []string  // a sentence for each kill
	flowing   time.Time // since when it flows, after the last kill; zero before
	killedAt  int64     // what had come when the last one was killed
	lastLine  time.Time
	lineWidth int
	recent    []sample

	// guarded by mu
	mu      sync.Mutex
	got     int64
	last    time.Time     // when the last bytes came
	stopped time.Duration // the longest time without any since the first kill
	kills   int
}

// A carrier is what is known of a volunteer's part in the download.
type carrier struct {
	proxy  *stage.Proxy
	number int
	base   int64 // bytes it had moved when we first looked
	moved  int64 // bytes since
	before int64 // moved at the last look
	rate   int64 // bytes between the last two looks
}

type sample struct {
	at  time.Time
	got int64
}

func newDownload(s *stage.Stage, cfg config, out io.Writer) *download {
	d := &download{stage: s, cfg: cfg, out: out, size: int64(cfg.sizeMB) * megabyte}
	if f, ok := out.(*os.File); ok {
		info, err := f.Stat()
		d.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return d
}

// Write takes note of bytes that have arrived.
func (d *download) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	if d.kills > 0 {
		d.stopped = max(d.stopped, now.Sub(d.last))
	}
	d.got += int64(len(p))
	d.last = now
	return len(p), nil
}

func (d *download) state() (got int64, last time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.got, d.last
}

// run fetches the file, shows how it goes and kills volunteers on the way.
func (d *download) run(ctx context.Context) error {
	fmt.Fprintf(d.out, "Fetching %d MB through it.\n", d.cfg.sizeMB)
	d.start = time.Now()
	d.last = d.start
	d.look()
	d.sample(0)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan error, 1)
	go func() {
		conn, err := d.stage.Dial(ctx, nil)
		if err == nil {
			err = stage.Get(ctx, conn, 1, d.size, d)
		}
		done <- err
	}()
	tick := time.NewTicker(redraw)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			d.took = time.Since(d.start)
			d.look()
			d.draw(true)
			return err
		case <-tick.C:
		}
		d.look()
		got, last := d.state()
		d.sample(got)
		if time.Since(last) > stallLimit {
			cancel(errStall)
		}
		if err := d.maybeKill(ctx, got); err != nil {
			cancel(err)
			<-done
			return err
		}
		d.draw(false)
	}
}

// look finds out who carries how much.
func (d *download) look() {
	for _, p := range d.stage.Proxies() {
		u, err := p.Usage()
		if err != nil {
			if !errors.Is(err, errors.ErrUnsupported) {
				continue // It has just ended.
			}
			u = stage.Usage{}
		}
		c := d.carrier(p, u.Read)
		c.moved = u.Read - c.base
		c.rate, c.before = c.moved-c.before, c.moved
	}
}

func (d *download) carrier(p *stage.Proxy, now int64) *carrier {
	for _, c := range d.carriers {
		if c.proxy == p {
			return c
		}
	}
	c := &carrier{proxy: p, number: len(d.carriers) + 1, base: now}
	d.carriers = append(d.carriers, c)
	return c
}

// busy lists the living volunteers that carry traffic now, the busiest first.
func (d *download) busy() []*carrier {
	const noise = 20_000 // more than polls and keepalives between two looks
	var busy []*carrier
	for _, c := range d.carriers {
		if c.proxy.Alive() && c.rate > noise {
			busy = append(busy, c)
		}
	}
	sort.Slice(busy, func(i, j int) bool { return busy[i].rate > busy[j].rate })
	return busy
}

// maybeKill kills the volunteer in use when its time has come.
func (d *download) maybeKill(ctx context.Context, got int64) error {
	due := len(d.killed) == 0 && got >= d.size/2
	if d.cfg.killEvery > 0 {
		if d.flowing.IsZero() && got > d.killedAt && len(d.busy()) > 0 {
			d.flowing = time.Now()
		}
		due = !d.flowing.IsZero() && time.Since(d.flowing) >= d.cfg.killEvery
	}
	if !due || got >= d.size {
		return nil
	}
	var victim *carrier
	if busy := d.busy(); len(busy) > 0 {
		victim = busy[0]
	} else {
		// Where processes cannot be watched (off Linux) nobody seems busy; then any of them will do.
		for _, c := range d.carriers {
			if _, err := c.proxy.Usage(); c.proxy.Alive() && errors.Is(err, errors.ErrUnsupported) {
				victim = c
			}
		}
	}
	if victim == nil {
		return nil // It stands still just now; the next look will tell.
	}
	d.mu.Lock()
	d.kills++
	d.mu.Unlock()
	victim.proxy.Kill()
	d.flowing, d.killedAt = time.Time{}, got
	at := fmt.Sprintf("Volunteer %d was killed without warning %.1f s after the start, at %.0f MB", victim.number,
		time.Since(d.start).Seconds(), float64(got)/megabyte)
	d.killed = append(d.killed, at)
	d.note(at + ".")
	if d.cfg.killEvery > 0 {
		if _, err := d.stage.StartProxy(ctx, stage.ProxyOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// note writes a line above the progress bar.
func (d *download) note(text string) {
	fmt.Fprintf(d.out, "%s  %s\n", d.erase(), text)
}

func (d *download) erase() string {
	if !d.terminal || d.lineWidth == 0 {
		return ""
	}
	return "\r" + strings.Repeat(" ", d.lineWidth) + "\r"
}

// draw shows the progress bar: over the last one on a terminal, otherwise a line every two seconds.
func (d *download) draw(final bool) {
	if !d.terminal && !final && time.Since(d.lastLine) < 2*time.Second {
		return
	}
	d.lastLine = time.Now()
	got, _ := d.state()
	const width = 24
	filled := int(got * width / d.size)
	who := "nobody"
	if busy := d.busy(); len(busy) > 0 {
		var numbers []string
		for _, c := range busy {
			numbers = append(numbers, fmt.Sprint(c.number))
		}
		sort.Strings(numbers)
		who = "volunteer " + strings.Join(numbers, "+")
	}
	line := fmt.Sprintf("  [%s%s] %3d %%  %5.1f MB  %5.1f MB/s  via %s, %d alive", strings.Repeat("#", filled), strings.Repeat(".", width-filled),
		got*100/d.size, float64(got)/megabyte, d.rate(), who, len(d.stage.Proxies()))
	if d.terminal {
		fmt.Fprint(d.out, d.erase()+line)
		d.lineWidth = len(line)
		if final {
			fmt.Fprintln(d.out)
		}
		return
	}
	fmt.Fprintln(d.out, line)
}

// sample remembers how much had come when, for the last second.
func (d *download) sample(got int64) {
	now := time.Now()
	d.recent = append(d.recent, sample{now, got})
	for len(d.recent) > 2 && now.Sub(d.recent[0].at) > time.Second {
		d.recent = d.recent[1:]
	}
}

// rate is the speed over the samples in MB/s.
func (d *download) rate() float64 {
	first, last := d.recent[0], d.recent[len(d.recent)-1]
	if last.at.Equal(first.at) {
		return 0
	}
	return float64(last.got-first.got) / last.at.Sub(first.at).Seconds() / megabyte
}

// report says in words what has happened.
func (d *download) report() {
	fmt.Fprintf(d.out, "\nThe file is complete and every byte of it is right (SHA-256 %s...).\n\nWhat happened:\n", stage.Checksum(1, d.size)[:16])
	fmt.Fprintf(d.out, "  - %d MB took %.1f s, %.1f MB/s on average.\n", d.cfg.sizeMB, d.took.Seconds(), float64(d.size)/megabyte/d.took.Seconds())
	var took []string
	for _, c := range d.carriers {
		if c.moved > carried {
			took = append(took, fmt.Sprintf("volunteer %d (%.0f MB)", c.number, float64(c.moved)/megabyte))
		}
	}
	if len(took) > 0 {
		fmt.Fprintf(d.out, "  - Carried by %s.\n", strings.Join(took, ", "))
	}
	for _, text := range d.killed {
		fmt.Fprintf(d.out, "  - %s.\n", text)
	}
	d.mu.Lock()
	stopped := d.stopped
	d.mu.Unlock()
	switch {
	case len(d.killed) == 0:
		fmt.Fprintln(d.out, "  - The file was there before a volunteer could be killed; a larger -size leaves time for it.")
	case stopped < redraw:
		fmt.Fprintln(d.out, "  - The app noticed nothing: the others went on without a pause.")
	default:
		fmt.Fprintf(d.out, "  - The app saw a pause of %.1f s, no error and no lost byte: the client found another volunteer\n"+
			"    and the session went on where it was.\n", stopped.Seconds())
	}
}
