import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import { FakeClock, settle } from "./fakes.ts";
import { within } from "./wait.ts";

test("what comes in time is the result, and nothing is left of the wait", async () => {
	const clock = new FakeClock();
	const life = new AbortController();
	for (const what of [() => Promise.resolve(7), () => Promise.reject(new Error("no"))]) {
		await within(clock, life.signal, 1000, what).catch(() => {});
		await settle();
		assert.deepEqual([clock.waiting, getEventListeners(life.signal, "abort").length], [0, 0]);
	}
	assert.equal(await within(clock, life.signal, 1000, () => Promise.resolve(7)), 7);
});

test("what is late is aborted", async () => {
	const clock = new FakeClock();
	const life = new AbortController();
	let signal: AbortSignal | undefined;
	const never = (s: AbortSignal) => {
		signal = s;
		return new Promise<number>(() => {});
	};
	const late = assert.rejects(within(clock, life.signal, 1000, never));
	const instead = within(clock, life.signal, 1000, never, 8);
	await clock.pass(999);
	assert.equal(signal?.aborted, false);
	await clock.pass(1);
	await late;
	assert.equal(await instead, 8);
	assert.equal(signal?.aborted, true);
	assert.equal(getEventListeners(life.signal, "abort").length, 0);
});

test("the end of life ends a wait, before it and in it", async () => {
	const clock = new FakeClock();
	const life = new AbortController();
	const ended = assert.rejects(within(clock, life.signal, 1000, () => new Promise(() => {}), 8));
	life.abort();
	await ended;
	let began = false;
	await assert.rejects(
		within(clock, life.signal, 1000, async () => {
			began = true;
		}),
	);
	assert.deepEqual([began, clock.waiting], [false, 0]);
});
