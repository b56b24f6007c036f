package netem

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"flurry/test/stage"
)

// The values of the tests, to be changed by hand after -args. What CI checks are the defaults.
var (
	rate      = flag.Float64("rate", 20, "TestFair: of the bottleneck, in Mbit/s")
	rtt       = flag.Duration("rtt", 100*time.Millisecond, "TestFair: round trip without queues, between client and server")
	queue     = flag.Duration("queue", 150*time.Millisecond, "TestFair: longest wait before the bottleneck; what would wait longer is dropped")
	loss      = flag.Float64("loss", 0, "TestFair: share of packets lost on the bottleneck, each way")
	at        = flag.String("at", "client", "TestFair: whose line is the bottleneck, client or proxy")
	apart     = flag.Duration("apart", 0, "TestFair: how much later the second download begins; negative: the first")
	warm      = flag.Duration("warm", 6*time.Second, "TestFair: time before it counts")
	span      = flag.Duration("time", 30*time.Second, "TestFair: time that counts")
	volunteer = flag.Float64("volunteer", 50, "TestMixes: rate of each volunteer's line, in Mbit/s")
	size      = flag.Int64("size", 12_000_000, "TestMixes: bytes of the download")
	how       = flag.String("how", "kill", "TestFailover: what happens to volunteers: kill, or silent")

	// Other programs in place of those of this module.
	clientFile = flag.String("bin-client", "", "client program")
	proxyFile  = flag.String("bin-proxy", "", "proxy program")
	brokerFile = flag.String("bin-broker", "", "broker program")
	serverFile = flag.String("bin-server", "", "server program")
)

// programs are the files under test. TestMain sets them before the first test, nothing changes them after.
var programs stage.Programs

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	flag.Parse()
	programs = stage.Programs{Client: *clientFile, Broker: *brokerFile, Proxy: *proxyFile, Server: *serverFile}
	if programs.Client != "" && programs.Broker != "" && programs.Proxy != "" && programs.Server != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "flurry-netem-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	ours, err := stage.Build(ctx, dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for _, p := range []struct{ file, ours *string }{{&programs.Client, &ours.Client}, {&programs.Broker, &ours.Broker},
		{&programs.Proxy, &ours.Proxy}, {&programs.Server, &ours.Server}} {
		if *p.file == "" {
			*p.file = *p.ours
		}
	}
	return m.Run()
}
