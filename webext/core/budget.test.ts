import assert from "node:assert/strict";
import { test } from "node:test";
import { MonthBudget, RateLimit } from "./budget.ts";

test("without a limit nothing waits", () => {
	const limit = new RateLimit();
	limit.take(1e12);
	assert.equal(limit.wait(0), 0);
});

test("a limit holds in the long run, whatever the messages", () => {
	for (const size of [100, 1200, 65_536]) {
		const limit = new RateLimit();
		limit.set(50_000, 0);
		let [now, sent] = [0, 0];
		while (now < 60_000) {
			const wait = limit.wait(now);
			now += wait;
			if (wait) continue;
			limit.take(size);
			sent += size;
		}
		assert(sent >= 60 * 50_000 && sent <= 61 * 50_000 + size, `${sent} bytes of ${size} each`);
	}
});

test("a pause saves up a second, and a clock that is set back nothing", () => {
	const limit = new RateLimit();
	limit.set(1000, 0);
	assert.equal(limit.wait(1e9), 0);
	limit.take(1000);
	assert.equal(limit.wait(1e9), 1);
	assert.equal(limit.wait(0), 1);
	assert.equal(limit.wait(1), 0);
});

test("the same limit again does not fill the bucket", () => {
	const limit = new RateLimit();
	limit.set(1000, 0);
	limit.take(5000);
	limit.set(1000, 0);
	assert(limit.wait(0) > 4000);
});

test("a month's budget is spent once, and there is a new one with the month", () => {
	const at = (text: string) => new Date(text).getTime();
	const month = new MonthBudget();
	const now = at("2026-11-30T23:59");
	month.set(900, now);
	assert.equal(month.spent(1000, now), false);
	month.add(100, now);
	assert.equal(month.spent(1000, now), true);
	assert.equal(month.spent(0, now), false);
	assert.equal(month.spent(1000, at("2026-12-01T00:00")), false);
});
