// For tests: descriptions as browsers and our Go programs write them. Addresses and keys are made up.

const text = (...lines: string[]): string => lines.map((line) => `${line}\r\n`).join("");

const FINGERPRINT = `a=fingerprint:sha-256 ${Array(32).fill("0E").join(":")}`;

/** Of an extension page, which Chromium lets see the addresses of the device. */
export const CHROMIUM = text(
	"v=0",
	"o=- 5298212846574528197 2 IN IP4 127.0.0.1",
	"s=-",
	"t=0 0",
	"a=group:BUNDLE 0",
	"a=extmap-allow-mixed",
	"a=msid-semantic: WMS",
	"m=application 41000 UDP/DTLS/SCTP webrtc-datachannel",
	"c=IN IP4 192.168.1.20",
	"a=candidate:1 1 udp 2122260223 192.168.1.20 41000 typ host generation 0 network-id 1",
	"a=candidate:2 1 udp 2122197247 fd12:3456::20 41001 typ host generation 0 network-id 2",
	"a=candidate:3 1 udp 2122131711 fe80::1%eth0 41002 typ host generation 0 network-id 3",
	"a=candidate:4 1 tcp 1518280447 192.168.1.20 9 typ host tcptype active generation 0 network-id 1",
	"a=candidate:5 1 udp 1686052607 203.0.113.20 41000 typ srflx raddr 192.168.1.20 rport 41000 generation 0 network-id 1",
	"a=candidate:6 1 udp 2122262783 2a00:1450::20 41003 typ host generation 0 network-id 4",
	"a=ice-ufrag:LInP",
	"a=ice-pwd:pDhN8qf7neHXQ3pUVtIVGqal",
	"a=ice-options:trickle",
	FINGERPRINT,
	"a=setup:active",
	"a=mid:0",
	"a=sctp-port:5000",
	"a=max-message-size:262144",
);

/** Of Firefox, with a name in place of each address of the device. */
export const FIREFOX = text(
	"v=0",
	"o=mozilla...THIS_IS_SDPARTA-99.0 1196590488691571698 0 IN IP4 0.0.0.0",
	"s=-",
	"t=0 0",
	FINGERPRINT,
	"a=group:BUNDLE 0",
	"a=ice-options:trickle",
	"a=msid-semantic:WMS *",
	"m=application 50000 UDP/DTLS/SCTP webrtc-datachannel",
	"c=IN IP4 203.0.113.21",
	"a=candidate:0 1 UDP 2122252543 1b2c3d4e-1111-2222-3333-444455556666.local 50000 typ host",
	"a=candidate:1 1 UDP 1686052863 203.0.113.21 50000 typ srflx raddr 0.0.0.0 rport 0",
	"a=sendrecv",
	"a=end-of-candidates",
	"a=ice-pwd:866ec613199eafe1890d6f775131762e",
	"a=ice-ufrag:b95c4d01",
	"a=mid:0",
	"a=setup:active",
	"a=sctp-port:5000",
	"a=max-message-size:1073741823",
);

/** A client's offer. */
export const OFFER = text(
	"v=0",
	"o=- 6066602339720946480 1795345477 IN IP4 0.0.0.0",
	"s=-",
	"t=0 0",
	"a=msid-semantic:WMS *",
	FINGERPRINT,
	"a=group:BUNDLE 0",
	"m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
	"c=IN IP4 0.0.0.0",
	"a=setup:actpass",
	"a=mid:0",
	"a=sctp-port:5000",
	"a=ice-ufrag:WjXLokgPpYgmwURa",
	"a=ice-pwd:xJeMMteEEGUtiPLvSuBroEKBcxUsXsEC",
	"a=candidate:1 1 udp 2130706431 192.168.7.7 40000 typ host",
	"a=candidate:2 1 udp 1694498815 198.51.100.7 40000 typ srflx raddr 0.0.0.0 rport 40000",
	"a=end-of-candidates",
);
