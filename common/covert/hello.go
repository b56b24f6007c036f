package covert

import (
	"maps"
	"slices"
	"strings"

	utls "github.com/refraction-networking/utls"
)

// A hello is one way to greet: which TLS ClientHello to send and which browser
// the HTTP layer above it must then be.
type hello struct {
	id         utls.ClientHelloID
	build      func() (*utls.ClientHelloSpec, error) // makes a hello, in place of id
	oneKey     bool                                  // its shares of X25519 are one key
	ordinary   bool                                  // crypto/tls, no imitation
	randomized bool                                  // every connection draws its own hello
	profile    profile
}

const (
	// Chromium and Firefox are the names of the browsers whose calls package
	// flurry/common/carrier/rtc knows, in the same versions.
	Chromium = "hellochrome_156"
	Firefox  = "hellofirefox_153"
	// Ordinary is the name for no imitation of TLS: the hello is this program's
	// own and tells that it is written in Go.
	Ordinary = "none"
)

// hellos lists the names of the wire specification, section 2.6, and those of
// the browsers that are current, in lower case. A randomized hello, and the
// ordinary one, belong to no browser; they carry the headers of the most common.
func hellos() map[string]hello {
	chromium := hello{id: utls.HelloCustom, build: chromium156Hello, profile: chrome156()}
	firefox := hello{id: utls.HelloCustom, build: firefox153Hello, oneKey: true, profile: firefox153()}
	return map[string]hello{
		Chromium:                chromium,
		Firefox:                 firefox,
		Ordinary:                {ordinary: true, profile: chrome156()},
		"hellorandomizedalpn":   {id: utls.HelloRandomizedALPN, randomized: true, profile: chrome156()},
		"hellorandomizednoalpn": {id: utls.HelloRandomizedNoALPN, randomized: true, profile: chrome156()},
		"hellofirefox_auto":     firefox,
		"hellofirefox_55":       {id: utls.HelloFirefox_55, profile: firefoxOld("55.0")},
		"hellofirefox_56":       {id: utls.HelloFirefox_56, profile: firefoxOld("56.0")},
		"hellofirefox_63":       {id: utls.HelloFirefox_63, profile: firefoxOld("63.0")},
		"hellofirefox_65":       {id: utls.HelloFirefox_65, profile: firefoxOld("65.0")},
		"hellochrome_auto":      chromium,
		"hellochrome_58":        {id: utls.HelloChrome_58, profile: chromeOld("58.0.3029.110")},
		"hellochrome_62":        {id: utls.HelloChrome_62, profile: chromeOld("62.0.3202.94")},
		"hellochrome_70":        {id: utls.HelloChrome_70, profile: chromeOld("70.0.3538.110")},
		"hellochrome_72":        {id: utls.HelloChrome_72, profile: chromeOld("72.0.3626.121")},
		"helloios_auto":         {id: utls.HelloIOS_Auto, profile: ios14()},
		"helloios_11_1":         {id: utls.HelloIOS_11_1, profile: ios11()},
		"helloios_12_1":         {id: utls.HelloIOS_12_1, profile: ios12()},
	}
}

// lookupHello finds the greeting called name. The empty name is the most common
// browser.
func lookupHello(name string) (hello, bool) {
	if name == "" {
		name = Chromium
	}
	h, ok := hellos()[strings.ToLower(name)]
	return h, ok
}

// ValidHello reports whether name may stand in Options.Hello: one of HelloNames
// in any case, not trimmed, or empty.
func ValidHello(name string) bool {
	_, ok := lookupHello(name)
	return ok
}

// HelloNames returns the names of all greetings, in lower case and sorted.
func HelloNames() []string {
	return slices.Sorted(maps.Keys(hellos()))
}
