package netem

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"flurry/common/simnet/line"
	"flurry/test/stage"
)

// home is where users and volunteers are in TestMixes and TestFailover: 170 ms from client to server and back.
func home(proxies int) plan {
	const ms = time.Millisecond
	return plan{proxies: proxies, client: line.Shape{Rate: 100 * mbit, Delay: 20 * ms}, proxy: line.Shape{Rate: 50 * mbit, Delay: 30 * ms},
		infra: line.Shape{Rate: 1000 * mbit, Delay: 5 * ms}}
}

// A row is what one mix of programs does.
type row struct {
	first        time.Duration // client's start to first echo
	idle, loaded time.Duration // median echo alone, and during a download
	rate         float64       // of the download, bytes a second
	queue        time.Duration // median wait before the volunteer's line, down and up
}

// TestMixes compares our client and proxy, together and with Debian's, all with our broker and server, which Debian does
// not have. No mix may be worse than Debian's own pair.
func TestMixes(t *testing.T) {
	debian := stage.Programs{Client: need(t, "snowflake-client"), Proxy: need(t, "snowflake-proxy"), Broker: programs.Broker, Server: programs.Server}
	mixes := []struct {
		name string
		stage.Programs
	}{
		{"Debian's client, Debian's proxy", debian},
		{"our client, Debian's proxy", stage.Programs{Client: programs.Client, Proxy: debian.Proxy, Broker: programs.Broker, Server: programs.Server}},
		{"Debian's client, our proxy", stage.Programs{Client: debian.Client, Proxy: programs.Proxy, Broker: programs.Broker, Server: programs.Server}},
		{"our client, our proxy", programs},
	}
	var rows []row
	for _, m := range mixes { // One after the other: Debian's programs alone need most of a small machine.
		t.Run(m.name, func(t *testing.T) {
			r := measure(t, m.Programs, m.Programs != programs)
			t.Logf("%-32s | first echo %6v | %5.2f MB/s | echo alone %v, beside it %v, of that before the volunteer's line %v", m.name, r.first.Round(10*time.Millisecond), r.rate/1e6,
				r.idle.Round(time.Millisecond), r.loaded.Round(time.Millisecond), r.queue.Round(time.Millisecond))
			rows = append(rows, r)
		})
	}
	if t.Failed() {
		return
	}
	if len(rows) < len(mixes) {
		return // Only some were asked for.
	}
	for i, r := range rows {
		// A third is what the rates of Debian's pair differ by from run to run, and a busy machine's noise.
		if base := rows[0]; r.rate < base.rate*2/3 || r.loaded > base.loaded*3/2+100*time.Millisecond {
			t.Errorf("%s: worse than Debian's pair", mixes[i].name)
		}
	}
}

// need returns the path of one of Debian's programs. Without it the test is skipped, or fails in CI.
func need(t *testing.T, name string) string {
	t.Helper()
	file, err := exec.LookPath(name)
	if err != nil && os.Getenv("CI") != "" {
		t.Fatal(err)
	} else if err != nil {
		t.Skipf("no %s here; it is in the Debian package of that name", name)
	}
	return file
}

// measure starts a system of these programs and takes a row.
func measure(t *testing.T, p stage.Programs, anyExit bool) row {
	where := home(1)
	where.proxy.Rate = *volunteer * mbit
	where.options = stage.Options{Programs: p, AnyExit: anyExit}
	if p.Proxy == programs.Proxy {
		// Else Debian's client, which does not know its own NAT at first, is refused, and waits ten seconds each time.
		where.options.ProxyArgs = []string{"-nat-type-force-unrestricted"}
	}
	b := newBed(t, where)
	var r row
	start := time.Now()
	c, err := b.StartClient(b.ctx) // The one that the stage has started does nothing until it is used.
	if err != nil {
		t.Fatal(err)
	}
	f := b.flow(t, c, 1)
	r.first = time.Since(start)
	echo := func() time.Duration {
		took, err := f.Echo(b.ctx)
		if err != nil {
			t.Fatal(err)
		}
		return took
	}
	var alone, beside, queued []time.Duration
	for range 10 {
		alone = append(alone, echo())
	}
	start = time.Now()
	if err := f.Get(*size); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- f.Wait(b.ctx) }()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var series []string // the rate of each second
	for second, before := start, f.Received(); ; {
		if took := time.Since(second); took >= time.Second {
			now := f.Received()
			series = append(series, fmt.Sprintf("%.2f", float64(now-before)/took.Seconds()/1e6))
			second, before = second.Add(took), now
		}
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			r.rate = float64(*size) / time.Since(start).Seconds()
			r.idle, r.loaded, r.queue = quantile(alone, 0.5), quantile(beside, 0.5), quantile(queued, 0.5)
			t.Logf("second by second: %s MB/s", strings.Join(series, " "))
			return r
		case <-tick.C:
			queued = append(queued, backlog(b.proxies[0].Down())+backlog(b.proxies[0].Up()))
			beside = append(beside, echo())
		}
	}
}
