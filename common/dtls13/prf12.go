package dtls13

import (
	"crypto/hmac"
	"crypto/sha256"
)

// prf is the pseudorandom function of 1.2 with SHA-256 (RFC 5246 section 5).
func prf(secret []byte, label string, size int, seeds ...[]byte) []byte {
	seed := []byte(label)
	for _, s := range seeds {
		seed = append(seed, s...)
	}
	mac := hmac.New(sha256.New, secret)
	hash := func(parts ...[]byte) []byte {
		mac.Reset()
		for _, p := range parts {
			mac.Write(p)
		}
		return mac.Sum(nil)
	}
	var out []byte
	for a := hash(seed); len(out) < size; a = hash(a) {
		out = append(out, hash(a, seed)...)
	}
	return out[:size]
}

const (
	masterSize   = 48 // RFC 5246 section 8.1
	finishedSize = 12 // RFC 5246 section 7.4.9
)

// makeMaster makes the master secret, bound to the handshake if both ends can (RFC
// 7627 section 4).
func (h *handshake12) makeMaster(premaster []byte, messages []byte) {
	if h.ems {
		h.master = prf(premaster, "extended master secret", masterSize, sum12(messages))
	} else {
		h.master = prf(premaster, "master secret", masterSize, h.clientRandom, h.serverRandom)
	}
}

// finished12 is the verify_data of a Finished.
func finished12(master []byte, label string, messages []byte) []byte {
	return prf(master, label, finishedSize, sum12(messages))
}

const (
	clientFinished12 = "client finished"
	serverFinished12 = "server finished"
)

// export is the exporter of RFC 5705. Without a context it is left out.
func (h *handshake12) export(label string, context []byte, length int) []byte {
	seeds := [][]byte{h.clientRandom, h.serverRandom}
	if context != nil {
		seeds = append(seeds, []byte{byte(len(context) >> 8), byte(len(context))}, context)
	}
	return prf(h.master, label, length, seeds...)
}
