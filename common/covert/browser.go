package covert

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"math/big"

	utls "github.com/refraction-networking/utls"
	"golang.org/x/net/http2"
)

// The browsers of this file are as they were seen to greet and to ask on
// loopback: Debian's Chromium 156 and Firefox ESR 153, by TestFrontLooks of
// test/browser, which holds these profiles to the browsers that it finds.

// extTrustAnchors is the extension trust_anchors (draft-ietf-tls-trust-anchor-ids).
const extTrustAnchors = 0xca34

// chromium156Anchors lists the roots that Chromium 156 offers to take in place
// of those that it believes a server to know. They come with the version.
const chromium156Anchors = "00b8" +
	"0582df130201" + "0582df130206" + "0582df13020d" + "0582df13020e" + "0582df13020f" + "0582df130212" + "0582df130213" + "0582df130214" +
	"08839a648c9b2d0107" + "08839a648c9b2d0108" + "08839a648c9b2d0109" + "08839a648c9b2d010a" + "08839a648c9b2d010b" +
	"08839a648c9b2d010c" + "08839a648c9b2d010d" + "08839a648c9b2d0112" + "08839a648c9b2d0113" +
	"04d6790901" + "04d6790904" + "04d6790905" + "04d6790906" + "04d6790907" + "04d6790908" + "04d679090a" +
	"04d679090b" + "04d679090c" + "04d679090d" + "04d679090f"

// The signature schemes of ML-DSA (draft-ietf-tls-mldsa). No public authority
// signs with them; a server that did would not be understood.
const (
	mldsa44 utls.SignatureScheme = 0x0904
	mldsa65 utls.SignatureScheme = 0x0905
	mldsa87 utls.SignatureScheme = 0x0906
)

// chromium156Hello is the ClientHello of Chromium 156.
func chromium156Hello() (*utls.ClientHelloSpec, error) {
	anchors, err := hex.DecodeString(chromium156Anchors)
	if err != nil {
		return nil, err
	}
	grease, err := randomBelow(16)
	if err != nil {
		return nil, err
	}
	middle := []utls.TLSExtension{
		&utls.SNIExtension{},
		&utls.ExtendedMasterSecretExtension{},
		&utls.RenegotiationInfoExtension{Renegotiation: utls.RenegotiateOnceAsClient},
		&utls.SupportedCurvesExtension{Curves: []utls.CurveID{
			utls.GREASE_PLACEHOLDER, utls.X25519MLKEM768, utls.X25519, utls.CurveP256, utls.CurveP384,
		}},
		&utls.SupportedPointsExtension{SupportedPoints: []byte{0}},
		&utls.SessionTicketExtension{},
		&utls.ALPNExtension{AlpnProtocols: []string{"h2", "http/1.1"}},
		&utls.StatusRequestExtension{},
		&utls.SignatureAlgorithmsExtension{SupportedSignatureAlgorithms: []utls.SignatureScheme{
			utls.SignatureScheme(0x0a0a + 0x1010*grease),
			mldsa44, mldsa65, mldsa87,
			utls.ECDSAWithP256AndSHA256, utls.PSSWithSHA256, utls.PKCS1WithSHA256,
			utls.ECDSAWithP384AndSHA384, utls.PSSWithSHA384, utls.PKCS1WithSHA384,
			utls.PSSWithSHA512, utls.PKCS1WithSHA512,
		}},
		&utls.SCTExtension{},
		&utls.KeyShareExtension{KeyShares: []utls.KeyShare{
			{Group: utls.GREASE_PLACEHOLDER, Data: []byte{0}},
			{Group: utls.X25519MLKEM768},
			{Group: utls.X25519},
		}},
		&utls.PSKKeyExchangeModesExtension{Modes: []uint8{utls.PskModeDHE}},
		&utls.SupportedVersionsExtension{Versions: []uint16{utls.GREASE_PLACEHOLDER, utls.VersionTLS13, utls.VersionTLS12}},
		&utls.UtlsCompressCertExtension{Algorithms: []utls.CertCompressionAlgo{utls.CertCompressionBrotli}},
		&utls.ApplicationSettingsExtensionNew{SupportedProtocols: []string{"h2"}},
		utls.BoringGREASEECH(),
		&utls.GenericExtension{Id: extTrustAnchors, Data: anchors},
	}
	for i := len(middle) - 1; i > 0; i-- {
		j, err := randomBelow(i + 1)
		if err != nil {
			return nil, err
		}
		middle[i], middle[j] = middle[j], middle[i]
	}
	extensions := append([]utls.TLSExtension{&utls.UtlsGREASEExtension{}}, middle...)
	return &utls.ClientHelloSpec{
		CipherSuites: []uint16{
			utls.GREASE_PLACEHOLDER,
			utls.TLS_AES_128_GCM_SHA256, utls.TLS_AES_256_GCM_SHA384, utls.TLS_CHACHA20_POLY1305_SHA256,
			utls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, utls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			utls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, utls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			utls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305, utls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305,
			utls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, utls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA,
			utls.TLS_RSA_WITH_AES_128_GCM_SHA256, utls.TLS_RSA_WITH_AES_256_GCM_SHA384,
			utls.TLS_RSA_WITH_AES_128_CBC_SHA, utls.TLS_RSA_WITH_AES_256_CBC_SHA,
		},
		CompressionMethods: []byte{0},
		Extensions:         append(extensions, &utls.UtlsGREASEExtension{}),
	}, nil
}

// firefox153Hello is the ClientHello of Firefox 153.
func firefox153Hello() (*utls.ClientHelloSpec, error) {
	return &utls.ClientHelloSpec{
		TLSVersMin: utls.VersionTLS12,
		TLSVersMax: utls.VersionTLS13,
		CipherSuites: []uint16{
			utls.TLS_AES_128_GCM_SHA256, utls.TLS_CHACHA20_POLY1305_SHA256, utls.TLS_AES_256_GCM_SHA384,
			utls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, utls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			utls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305, utls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305,
			utls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, utls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			utls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA,
			utls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, utls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA,
			utls.TLS_RSA_WITH_AES_128_GCM_SHA256, utls.TLS_RSA_WITH_AES_256_GCM_SHA384,
			utls.TLS_RSA_WITH_AES_128_CBC_SHA, utls.TLS_RSA_WITH_AES_256_CBC_SHA,
		},
		CompressionMethods: []byte{0},
		Extensions: []utls.TLSExtension{
			&utls.SNIExtension{},
			&utls.ExtendedMasterSecretExtension{},
			&utls.RenegotiationInfoExtension{Renegotiation: utls.RenegotiateOnceAsClient},
			&utls.SupportedCurvesExtension{Curves: []utls.CurveID{
				utls.X25519MLKEM768, utls.X25519, utls.CurveP256, utls.CurveP384, utls.CurveP521, utls.FakeCurveFFDHE2048, utls.FakeCurveFFDHE3072,
			}},
			&utls.SupportedPointsExtension{SupportedPoints: []byte{0}},
			&utls.SessionTicketExtension{},
			&utls.ALPNExtension{AlpnProtocols: []string{"h2", "http/1.1"}},
			&utls.StatusRequestExtension{},
			&utls.FakeDelegatedCredentialsExtension{SupportedSignatureAlgorithms: []utls.SignatureScheme{
				utls.ECDSAWithP256AndSHA256, utls.ECDSAWithP384AndSHA384, utls.ECDSAWithP521AndSHA512, utls.ECDSAWithSHA1,
			}},
			&utls.SCTExtension{},
			&utls.KeyShareExtension{KeyShares: []utls.KeyShare{{Group: utls.X25519MLKEM768}, {Group: utls.X25519}, {Group: utls.CurveP256}}},
			&utls.SupportedVersionsExtension{Versions: []uint16{utls.VersionTLS13, utls.VersionTLS12}},
			&utls.SignatureAlgorithmsExtension{SupportedSignatureAlgorithms: []utls.SignatureScheme{
				utls.ECDSAWithP256AndSHA256, utls.ECDSAWithP384AndSHA384, utls.ECDSAWithP521AndSHA512,
				utls.PSSWithSHA256, utls.PSSWithSHA384, utls.PSSWithSHA512,
				utls.PKCS1WithSHA256, utls.PKCS1WithSHA384, utls.PKCS1WithSHA512,
				utls.ECDSAWithSHA1, utls.PKCS1WithSHA1,
			}},
			&utls.PSKKeyExchangeModesExtension{Modes: []uint8{utls.PskModeDHE}},
			&utls.FakeRecordSizeLimitExtension{Limit: 0x4001},
			&utls.UtlsCompressCertExtension{Algorithms: []utls.CertCompressionAlgo{utls.CertCompressionZlib, utls.CertCompressionBrotli, utls.CertCompressionZstd}},
			&utls.GREASEEncryptedClientHelloExtension{
				// HKDF-SHA256 with AES-128-GCM or ChaCha20-Poly1305 (RFC 9180, section 7).
				CandidateCipherSuites: []utls.HPKESymmetricCipherSuite{{KdfId: 1, AeadId: 1}, {KdfId: 1, AeadId: 3}},
				CandidatePayloadLens:  []uint16{223}, // 239 with the tag
			},
		},
	}, nil
}

// shareOneKey makes the X25519 share the same key as that in the hybrid share,
// as Firefox does. uTLS keeps one more key, for the first share that is not the
// hybrid; with p256 this is made the share of P-256, with the same bytes on the
// wire otherwise.
func shareOneKey(conn *utls.UConn, p256 bool) error {
	keys := conn.HandshakeState.State13.KeyShareKeys
	for _, e := range conn.Extensions {
		shares, ok := e.(*utls.KeyShareExtension)
		if !ok || keys.MlkemEcdhe == nil {
			continue
		}
		keys.Ecdhe = keys.MlkemEcdhe
		for i, s := range shares.KeyShares {
			switch s.Group {
			case utls.X25519:
				shares.KeyShares[i].Data = keys.MlkemEcdhe.PublicKey().Bytes()
			case utls.CurveP256:
				if !p256 {
					continue
				}
				key, err := ecdh.P256().GenerateKey(rand.Reader)
				if err != nil {
					return err
				}
				shares.KeyShares[i].Data = key.PublicKey().Bytes()
				keys.Ecdhe = key
			}
		}
		return nil
	}
	return errors.New("no hybrid key share in the hello")
}

// randomBelow returns a number from 0 to n-1.
func randomBelow(n int) (int, error) {
	v, err := rand.Int(rand.Reader, big.NewInt(int64(n)))
	if err != nil {
		return 0, err
	}
	return int(v.Int64()), nil
}

// chrome156 is Chrome 156 on Windows. Debian's Chromium on Linux says the same
// but for the names of system and product.
func chrome156() profile {
	return profile{
		headers: []templateField{
			{"Host", "", onlyHTTP1},
			{"Connection", "keep-alive", onlyHTTP1},
			{"Content-Length", "", onlyBody},
			{"sec-ch-ua-platform", `"Windows"`, onlySecure},
			{"User-Agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36", 0},
			// The order and the made-up brand follow from the version's number.
			{"sec-ch-ua", `"Not:A-Brand";v="8", "Chromium";v="156", "Google Chrome";v="156"`, onlySecure},
			{"Content-Type", "text/plain;charset=UTF-8", onlyBody},
			{"sec-ch-ua-mobile", "?0", onlySecure},
			{"Accept", "*/*", 0},
			{"Origin", "", onlyBody},
			{"Sec-Fetch-Site", "same-origin", onlySecure},
			{"Sec-Fetch-Mode", "cors", onlySecure},
			{"Sec-Fetch-Dest", "empty", onlySecure},
			{"Referer", "", 0},
			{"Accept-Encoding", "gzip, deflate, br, zstd", onlySecure},
			{"Accept-Encoding", "gzip, deflate", onlyPlain},
			{"Accept-Language", "en-US,en;q=0.9", 0},
			{"Priority", "u=1, i", onlyHTTP2},
		},
		bodyApart: true,
		h2: h2Profile{
			settings: []http2.Setting{
				{ID: http2.SettingHeaderTableSize, Val: 65536},
				{ID: http2.SettingEnablePush, Val: 0},
				{ID: http2.SettingInitialWindowSize, Val: 6291456},
				{ID: http2.SettingMaxHeaderListSize, Val: 262144},
			},
			windowUpdate: 15663105,
			firstStream:  1,
			// fetch() has priority 1 of 0..7, weight 220; the wire has it less one.
			priority: http2.PriorityParam{Exclusive: true, Weight: 219},
			pseudo:   []string{":method", ":authority", ":scheme", ":path"},
		},
	}
}

// firefox153 is Firefox 153 on Windows.
func firefox153() profile {
	return profile{
		headers: []templateField{
			{"Host", "", onlyHTTP1},
			{"User-Agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:153.0) Gecko/20100101 Firefox/153.0", 0},
			{"Accept", "*/*", 0},
			{"Accept-Language", "en-US,en;q=0.9", 0},
			{"Accept-Encoding", "gzip, deflate, br, zstd", onlySecure},
			{"Accept-Encoding", "gzip, deflate", onlyPlain},
			{"Referer", "", 0},
			{"Content-Type", "text/plain;charset=UTF-8", onlyBody},
			{"Content-Length", "", onlyBody},
			{"Origin", "", onlyBody},
			{"Connection", "keep-alive", onlyHTTP1},
			{"Sec-Fetch-Dest", "empty", onlySecure},
			{"Sec-Fetch-Mode", "cors", onlySecure},
			{"Sec-Fetch-Site", "same-origin", onlySecure},
			{"Priority", "u=4", 0},
			{"TE", "trailers", onlyHTTP2},
		},
		h2: h2Profile{
			settings: []http2.Setting{
				{ID: http2.SettingHeaderTableSize, Val: 65536},
				{ID: http2.SettingEnablePush, Val: 0},
				{ID: http2.SettingInitialWindowSize, Val: 131072},
				{ID: http2.SettingMaxFrameSize, Val: 16384},
			},
			windowUpdate: 12517377,
			firstStream:  3,
			priority:     http2.PriorityParam{Weight: 21},
			// Each stream's window is made 12 MiB.
			streamUpdate: 12<<20 - 131072,
			firstPiece:   2048,
			pseudo:       []string{":method", ":path", ":authority", ":scheme"},
		},
	}
}
