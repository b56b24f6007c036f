import assert from "node:assert/strict";
import { test } from "node:test";
import * as messages from "./messages.ts";

const READERS = [
	messages.decodePollResponse,
	messages.decodeAnswerRequest,
	messages.decodeAnswerResponse,
	messages.decodeDescription,
] as ((text: string) => unknown)[];

test("polls and answers have the members of the spec in their order", () => {
	assert.equal(
		messages.encodePollRequest({ Sid: "s", Type: "webext", NAT: "unknown", Clients: 0, AcceptedRelayPattern: "r$" }),
		'{"Sid":"s","Version":"1.3","Type":"webext","NAT":"unknown","Clients":0,"AcceptedRelayPattern":"r$"}',
	);
	assert.equal(messages.encodeAnswerRequest("s", "{}"), '{"Version":"1.3","Sid":"s","Answer":"{}"}');
});

test("member names fold case, the last of several counts", () => {
	assert.deepEqual(messages.decodePollResponse('{"status":"no match","STATUS":"client match","offer":"x","nextPOLL":5}'), {
		status: "client match",
		offer: "x",
		nat: "unknown",
		nextPoll: 5,
		relayURL: "",
	});
});

test("a hostile response is refused and leaves nothing behind", () => {
	const hostile = [
		"",
		"\0",
		"7",
		"true",
		'"client match"',
		"[[]]",
		"{",
		"[".repeat(90_000),
		`{"a":${'{"a":'.repeat(15_000)}`,
		'{"Status":{}}',
		'{"Status":["success"]}',
		'{"Status":7}',
		'{"__proto__":{"Status":"client match","Offer":"x","type":"offer","sdp":"x"}}',
		'{"constructor":{"prototype":{"Status":"client match"}}}',
	];
	for (const read of READERS) for (const text of hostile) assert.throws(() => read(text), text.slice(0, 80));
	for (const more of ['"NextPoll":"5"', '"NextPoll":1e999', '"NextPoll":1.5', '"RelayURL":{}', '"NAT":0', '"Offer":[]'])
		assert.throws(() => messages.decodePollResponse(`{"Status":"no match",${more}}`), more);
	assert.equal(({} as Record<string, unknown>).Status, undefined);
});

test("random bytes are refused", () => {
	let seed = 1;
	const random = () => (seed = (seed * 48271) % 2147483647);
	for (let i = 0; i < 3000; i++) {
		const text = Array.from({ length: random() % 60 }, () => String.fromCharCode(random() % 256)).join("");
		for (const read of READERS) assert.throws(() => read(text), text);
	}
});

test("a valid message with one wrong byte is read or refused, and nothing else", () => {
	const good = '{"Status":"client match","Offer":"x","NAT":"unknown","NextPoll":20000,"RelayURL":"wss://r/"}';
	for (let at = 0; at < good.length; at++)
		for (const c of '\0"{}[],:\\9') {
			try {
				const r = messages.decodePollResponse(good.slice(0, at) + c + good.slice(at + 1));
				assert.equal(typeof r.offer, "string");
				assert(Number.isInteger(r.nextPoll));
			} catch (error) {
				assert(error instanceof Error && error.name !== "AssertionError");
			}
		}
});
