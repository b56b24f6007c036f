import assert from "node:assert/strict";
import { test } from "node:test";
import { checkRelay, withClient } from "./relay.ts";

const rule = { pattern: "snowflake.example$", allowPrivate: false, allowPlain: false };

test("relays under the name of the pattern are accepted", () => {
	for (const url of [
		"wss://snowflake.example/",
		"wss://2.snowflake.example:8443/x?y=z",
		"https://snowflake.example/x",
		"WSS://SNOWFLAKE.example",
	])
		assert.equal(checkRelay(url, rule).hostname.endsWith("snowflake.example"), true);
});

test("others are refused", () => {
	const refused = [
		"",
		"snowflake.example",
		"wss:snowflake.example",
		"ws://snowflake.example/",
		"http://snowflake.example/",
		"file:///etc/passwd",
	];
	const names = [
		"wss://evilsnowflake.example/",
		"wss://snowflake.example.evil/",
		"wss://snowflake.example@evil/",
		"wss://snowflake.example./",
	];
	for (const url of [...refused, ...names, "wss://[::1", "wss://"]) assert.throws(() => checkRelay(url, rule), url);
});

test("no pattern opens the volunteer's own network", () => {
	const any = { ...rule, pattern: "$" };
	const hosts = [
		"127.0.0.1",
		"127.1",
		"0x7f000001",
		"2130706433",
		"[::1]",
		"[::ffff:127.0.0.1]",
		"10.0.0.1",
		"[fd00::1]",
		"[fe80::1]",
		"0",
		"localhost",
	];
	for (const host of [...hosts, "LOCALHOST.", "x.localhost", "printer.local", "[64:ff9b::7f00:1]"]) {
		assert.throws(() => checkRelay(`wss://${host}/`, any), host);
		assert.doesNotThrow(() => checkRelay(`wss://${host}/`, { ...any, allowPrivate: true }), host);
	}
});

test("ws: is for tests", () => {
	assert.doesNotThrow(() => checkRelay("ws://127.0.0.1:8080/", { pattern: "$", allowPrivate: true, allowPlain: true }));
});

test("the client's address is added, and nothing else goes along", () => {
	assert.equal(
		withClient(new URL("wss://u:p@r.example/a?z=1&b=2#f"), "2001:db8::1"),
		"wss://r.example/a?b=2&client_ip=2001%3Adb8%3A%3A1&z=1",
	);
	assert.equal(withClient(new URL("wss://r.example/?client_ip=9.9.9.9"), "1.2.3.4"), "wss://r.example/?client_ip=1.2.3.4");
	assert.equal(withClient(new URL("wss://r.example"), ""), "wss://r.example/");
});
