import assert from "node:assert/strict";
import { test } from "node:test";
import { defaults, normalise } from "./settings.ts";

test("a volunteer has chosen nothing at first", () => {
	assert.equal(defaults().enabled, false);
	assert.deepEqual(normalise(undefined), defaults());
});

test("what was chosen is kept", () => {
	const chosen = { ...defaults(), enabled: true, maxClients: 5, rateLimit: 250_000, monthlyBudget: 5e9, onlyCharging: true };
	assert.deepEqual(normalise(JSON.parse(JSON.stringify(chosen))), chosen);
});

test("anything can be in the storage", () => {
	for (const stored of [
		null,
		0,
		"",
		"enabled",
		[],
		() => {},
		{ enabled: "true", maxClients: "3", background: 1 },
		Object.create({ enabled: true }),
	])
		assert.deepEqual(normalise(stored), defaults());
	assert.deepEqual(normalise(JSON.parse('{"__proto__":{"enabled":true},"constructor":1,"toString":2}')), defaults());
	assert.equal("evil" in normalise({ evil: 1 }), false);
});

test("numbers are bounded", () => {
	for (const [given, clients] of [
		[-1, 1],
		[0, 1],
		[2.9, 2],
		[1e9, 5],
		[Number.POSITIVE_INFINITY, 5],
		[Number.NaN, 2],
	] as const)
		assert.equal(normalise({ maxClients: given }).maxClients, clients);
	for (const [given, rate] of [
		[-5, 0],
		[0, 0],
		[1, 10_000],
		[1e6, 1e6],
		[Number.NaN, 0],
	] as const)
		assert.equal(normalise({ rateLimit: given }).rateLimit, rate);
	assert.equal(normalise({ monthlyBudget: Number.POSITIVE_INFINITY }).monthlyBudget, Number.MAX_SAFE_INTEGER);
	assert.equal(normalise({ monthlyBudget: 1.5 }).monthlyBudget, 1);
});
