import assert from "node:assert/strict";
import { test } from "node:test";
import { Schedule, spread } from "./schedule.ts";

test("the broker's wish holds, within reason", () => {
	const s = new Schedule();
	for (const [wish, pause] of [
		[20_000, 20_000],
		[1, 1000],
		[1e12, 86_400_000],
		[0, 60_000],
		[-5, 60_000],
	] as const)
		assert.equal(s.answered(wish, "unknown"), pause);
	assert.equal(s.answered(0, "unrestricted"), 30_000);
});

test("failures double the pause up to a minute", () => {
	const s = new Schedule();
	assert.deepEqual(
		[1, 2, 3, 4, 5].map(() => s.failed()),
		[10_000, 20_000, 40_000, 60_000, 60_000],
	);
	for (let i = 0; i < 5000; i++) s.failed();
	assert.equal(s.failed(), 60_000);
	s.answered(5000, "unknown");
	assert.equal(s.failed(), 10_000);
});

test("a network to which nobody can connect asks less often", () => {
	const s = new Schedule();
	const pauses = [1, 2, 3, 4].map(() => {
		s.connection(false);
		return s.answered(20_000, "unknown");
	});
	assert.deepEqual(pauses, [20_000, 20_000, 120_000, 220_000]);
	for (let i = 0; i < 1000; i++) s.connection(false);
	assert.equal(s.answered(20_000, "unknown"), 20_000 + 6 * 3600e3);
	s.connection(true);
	assert.equal(s.answered(20_000, "unknown"), 20_000);
});

test("jitter only adds, a tenth or ten seconds", () => {
	assert.equal(spread(1000, 0), 1000);
	assert.equal(spread(1000, 1), 1100);
	assert.equal(spread(1e9, 1), 1e9 + 10_000);
});
