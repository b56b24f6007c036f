import assert from "node:assert/strict";
import { test } from "node:test";
import { canonicalIPv6, isForbidden, parseAddress } from "./address.ts";

test("addresses are read whatever their form", () => {
	for (const [digits, ...texts] of [
		["00000000000000000000ffff01020304", "1.2.3.4", "::ffff:1.2.3.4", "::FFFF:102:304"],
		["00000000000000000000000000000000", "::", "0:0:0:0:0:0:0:0"],
		["00000000000000000000000000000001", "::1", "0::0:1"],
		["20010db8000000000001000000000001", "2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
		["00010002000300040005000600070008", "1:2:3:4:5:6:7:8"],
		["00010000000000000000000000000000", "1::"],
		["0064ff9b000000000000000001020304", "64:ff9b::1.2.3.4"],
	] as const)
		for (const text of texts) assert.equal(parseAddress(text), digits, text);
	assert.equal(canonicalIPv6("2001:DB8:0:0:1:0:0:1"), "2001:db8::1:0:0:1");
});

test("what is no address is none", () => {
	const none = [
		"",
		"1.2.3",
		"1.2.3.4.5",
		"01.2.3.4",
		"256.1.1.1",
		"127.1",
		"0x7f000001",
		"2130706433",
		"a",
		"::1%eth0",
		"[::1]",
		"::g",
	];
	for (const text of [...none, "1:2:3:4:5:6:7", "1::2::3", "12345::", "::1]/x", "1.2.3.4 "])
		assert.equal(parseAddress(text), "", text);
});

test("no stranger has us dial these", () => {
	const forbidden = [
		"0.0.0.0",
		"0.1.2.3",
		"10.1.2.3",
		"100.64.0.1",
		"127.9.9.9",
		"169.254.1.1",
		"172.31.0.1",
		"192.168.0.1",
		"224.0.0.1",
	];
	const six = [
		"::",
		"::1",
		"::7f00:1",
		"fc00::1",
		"fdff::1",
		"fe80::1",
		"febf::1",
		"ff02::1",
		"::ffff:10.0.0.1",
		"64:ff9b::10.0.0.1",
		"2002:a00:1::",
	];
	for (const text of [...forbidden, "255.255.255.255", ...six]) assert.equal(isForbidden(parseAddress(text)), true, text);
	for (const text of ["1.1.1.1", "172.32.0.1", "100.128.0.1", "2001:db8::1", "64:ff9b::1.1.1.1", "2002:101:101::"])
		assert.equal(isForbidden(parseAddress(text)), false, text);
});
