package floors

// floorOf places every package of the module; the paths are relative to it.
var floorOf = map[string]int{
	"common/carrier":             0,
	"common/carrier/carriertest": 0,
	"common/dtls13":              0,
	"common/encapsulation":       0,
	"common/messages":            0,
	"common/safelog":             0,
	"common/sdp":                 0,
	"common/sealed":              0,
	"common/simnet/line":         0,
	"common/vectors":             0,
	"common/version":             0,

	"common/carrier/rtc":       1,
	"common/carrier/ws":        1,
	"common/carrier/wt":        1,
	"common/simnet":            1,
	"common/covert":            1,
	"common/multipath":         1,
	"common/nat":               1,
	"common/turbotunnel":       1,
	"common/covert/coverttest": 1,
	// The listeners that the broker and the probe service share.
	"broker/httpserve": 1,

	"client/rendezvous": 2,

	"broker/snowbroker": 3,
	"client/snowclient": 3,
	"proxy/snowproxy":   3,
	"server/snowserver": 3,

	"broker":                5,
	"broker/probetest":      5,
	"client":                5,
	"demo":                  5,
	"fuzz":                  5,
	"proxy":                 5,
	"server":                5,
	"test/browser":          5,
	"test/browsers":         5,
	"test/floors":           5,
	"test/interop":          5,
	"test/netem":            5,
	"test/netlab":           5,
	"test/stage":            5,
	"test/system":           5,
	"test/system/simulated": 5,
	"test/webext":           5,
}

// mayImport lists the arrows within one floor, from importer to imported, that the architecture allows. Floor 1 allows all
// but those of banned.
var mayImport = map[[2]string]bool{
	{"common/carrier/carriertest", "common/carrier"}:     true,
	{"common/carrier/carriertest", "common/simnet/line"}: true,

	{"demo", "test/stage"}:                  true,
	{"test/browser", "test/stage"}:          true,
	{"test/system", "test/stage"}:           true,
	{"test/interop", "test/stage"}:          true,
	{"test/system/simulated", "test/stage"}: true,
	{"test/netem", "test/stage"}:            true,
	{"test/browser", "test/netlab"}:         true,
	{"test/browser", "test/browsers"}:       true,
	{"test/webext", "test/browsers"}:        true,
	{"test/webext", "test/stage"}:           true,
	{"test/interop", "test/netlab"}:         true,
	{"test/netem", "test/netlab"}:           true,
}

// testMayImport lists packages made for tests: the tests of any package may import them, whatever its floor.
var testMayImport = map[string]bool{
	"common/carrier/carriertest": true,
	"common/covert/coverttest":   true,
	"common/simnet":              true,
	"common/vectors":             true,
}

// banned lists arrows that are wrong although the floors would allow them.
var banned = map[[2]string]bool{
	{"common/multipath", "common/turbotunnel"}: true,
}

// A heavyRule keeps a dependency out of packages that must do without it, directly and through others.
type heavyRule struct {
	module string   // import path of the dependency, with all below it
	never  []string // packages, with all below them, that never reach it
	only   []string // if not empty: the packages, with all below them, that alone may reach it
}

var heavyRules = []heavyRule{
	{module: "github.com/pion", never: []string{"server"}},
	{module: "github.com/nats-io", only: []string{"broker", "demo", "test"}},
	// Of the libraries the broker's alone; the client's is client/rendezvous/sqs, which its program chooses.
	{module: "github.com/aws", only: []string{"broker", "client/rendezvous/sqs", "client", "demo", "test"},
		never: []string{"client/snowclient", "broker/httpserve"}},
	{module: "github.com/quic-go", only: []string{"common/carrier/wt", "server", "proxy", "demo", "test"}},
}

// stdlibOnly lists packages that import nothing but the standard library.
var stdlibOnly = []string{"common/carrier", "common/encapsulation", "common/messages", "common/sealed", "common/simnet/line",
	"common/version"}
