import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeDescription } from "./messages.ts";
import { CHROMIUM, FIREFOX, OFFER } from "./samples.ts";
import { hasCandidates, hasReflexive, markEdges, readRemote, remoteAddress, stripLocal } from "./sdp.ts";

const lines = (text: string) => text.split("\r\n");
const candidates = (text: string) => lines(text).filter((line) => line.startsWith("a=candidate:"));
const offer = (sdp: string) => encodeDescription({ type: "offer", sdp });

test("Chromium's local addresses do not leave", () => {
	const text = stripLocal(CHROMIUM, false);
	assert.deepEqual(
		candidates(text).map((line) => line.split(" ")[4]),
		["203.0.113.20", "2a00:1450::20"],
	);
	assert.doesNotMatch(text, /192\.168|fd12|fe80|\.local/);
	assert.match(text, /^m=application 9 UDP\/DTLS\/SCTP webrtc-datachannel\r\nc=IN IP4 0\.0\.0\.0\r$/m);
	assert.match(text, /203\.0\.113\.20 41000 typ srflx raddr 0\.0\.0\.0 rport 0 generation/);
});

test("everything else stays, line by line", () => {
	const rest = (text: string) => lines(text).filter((line) => !/^(a=candidate:|[mc]=)/.test(line));
	assert.deepEqual(rest(stripLocal(CHROMIUM, false)), rest(CHROMIUM));
	assert.deepEqual(rest(stripLocal(FIREFOX, false)), rest(FIREFOX));
});

test("Firefox's names do not leave, and a public default address stays", () => {
	const text = stripLocal(FIREFOX, false);
	assert.equal(candidates(text).length, 1);
	assert.doesNotMatch(text, /\.local/);
	assert.match(text, /^m=application 50000 .*\r\nc=IN IP4 203\.0\.113\.21\r$/m);
});

test("with nothing but local candidates none is left", () => {
	const local = lines(CHROMIUM).filter((line) => !/srflx|2a00/.test(line));
	assert.equal(hasCandidates(stripLocal(local.join("\r\n"), false)), false);
	assert.equal(hasCandidates(stripLocal(CHROMIUM, false)), true);
	assert.equal(stripLocal(CHROMIUM, true), CHROMIUM);
});

test("a STUN server's answer is noticed", () => {
	assert.equal(hasReflexive(CHROMIUM), true);
	assert.equal(hasReflexive(CHROMIUM.replace(/^.*srflx.*\r\n/m, "")), false);
});

test("edges are promised in a line of the session", () => {
	const text = markEdges(CHROMIUM);
	assert.equal(text.replace("a=whole-messages\r\n", ""), CHROMIUM);
	assert(text.indexOf("a=whole-messages") < text.indexOf("m=application"));
});

test("the client's address is told, never a local one", () => {
	assert.equal(remoteAddress(OFFER), "198.51.100.7");
	assert.equal(remoteAddress(OFFER.replace(/^.*srflx.*\r\n/m, "")), "");
	assert.equal(remoteAddress("c=IN IP4 9.9.9.9\r\nm=application 9 x y\r\nc=IN IP6 2001:0DB8:0:0::5\r\n"), "2001:db8::5");
	assert.equal(remoteAddress(""), "");
});

test("an offer has the browser look for no local addresses", () => {
	const { sdp } = readRemote(offer(OFFER), "offer", false);
	assert.equal(sdp, OFFER.replace(/^.*192\.168\.7\.7.*\r\n/m, ""));
	assert.equal(readRemote(offer(OFFER), "offer", true).sdp, OFFER);
	assert.equal(readRemote(offer(OFFER.replaceAll("\r\n", "\n")), "offer", false).sdp, sdp.replaceAll("\r\n", "\n"));
});

test("an offer has few candidates", () => {
	const many = Array.from({ length: 5000 }, (_, i) => `a=candidate:${i} 1 udp 1 198.51.100.7 ${i} typ host\r\n`).join("");
	assert.equal(candidates(readRemote(offer(OFFER + many), "offer", false).sdp).length, 64);
});

test("hostile offers are refused", () => {
	const refused = [
		"",
		"null",
		"[]",
		"7",
		'"offer"',
		"{",
		"[".repeat(50_000),
		"{}",
		'{"type":"offer"}',
		'{"type":"offer","sdp":7}',
		'{"__proto__":{"type":"offer","sdp":"v=0"}}',
		encodeDescription({ type: "answer", sdp: OFFER }),
		offer(""),
		offer("v=0\r\n"),
		offer(OFFER.replace("v=0", "v=1")),
		offer(OFFER.replace("m=application", "m=audio")),
		offer(`${OFFER}m=video 9 UDP/TLS/RTP/SAVPF 96\r\n`),
		offer(OFFER + OFFER),
	];
	for (const text of refused) assert.throws(() => readRemote(text, "offer", false), text.slice(0, 100));
});
