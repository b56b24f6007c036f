import assert from "node:assert/strict";
import { test } from "node:test";
import { applyDelta, type Ledger, openLedger, totals } from "./ledger.ts";
import type { Delta } from "./types.ts";

process.env.TZ = "Europe/Berlin"; // has a day of 23 and one of 25 hours

const at = (text: string) => new Date(text).getTime();
const NOW = at("2026-11-27T20:15:00");
let seq = 0;
const delta = (more: Partial<Delta> = {}): Delta => ({ engine: "e", seq: ++seq, at: NOW, people: 1, up: 10, down: 90, ...more });
const book = (...deltas: Delta[]) => deltas.reduce(applyDelta, openLedger(null, NOW));

test("deltas are added up", () => {
	const t = totals(book(delta(), delta({ people: 0 }), delta()), NOW);
	assert.deepEqual(
		[t.today, t.week, t.month, t.total],
		[{ people: 2, bytes: 300 }, { people: 2, bytes: 300 }, { bytes: 300 }, { people: 2, bytes: 300 }],
	);
	assert.equal(t.since, NOW);
	assert.deepEqual(t.hours, [...Array(23).fill(0), 300]);
});

test("each counts once", () => {
	const [a, b] = [delta(), delta()];
	assert.equal(totals(book(a, a, b, a, b), NOW).total.bytes, 200);
	assert.equal(totals(book(a, { ...a, engine: "f" }), NOW).total.bytes, 200);
	const l = book(a);
	assert.equal(applyDelta(l, a), l);
});

test("an engine of long ago is forgotten, the last eight are not", () => {
	const last = Array.from({ length: 8 }, (_, i) => delta({ engine: `e${i}` }));
	const l = book(delta({ engine: "old" }), ...last);
	assert.equal(l.engines.length, 8);
	for (const d of last) assert.equal(applyDelta(l, d), l);
});

test("days, weeks and months are those of the volunteer's clock", () => {
	const day = (text: string) => delta({ at: at(text), people: 1, up: 1, down: 0 });
	const t = totals(
		book(
			...[
				"2026-10-31T23:59",
				"2026-11-01T00:00",
				"2026-11-20T23:59",
				"2026-11-21T00:00",
				"2026-11-26T23:59",
				"2026-11-27T00:00",
			].map(day),
		),
		NOW,
	);
	assert.deepEqual([t.today.bytes, t.week.bytes, t.month.bytes, t.total.bytes], [1, 3, 5, 6]);
	// In the night of 25 October the clock is set back.
	const october = totals(book(day("2026-10-19T00:30"), day("2026-10-18T23:30")), at("2026-10-25T23:30"));
	assert.equal(october.week.bytes, 1);
	// The year ends.
	assert.equal(totals(book(day("2026-12-31T12:00"), day("2027-01-01T12:00")), at("2027-01-02T12:00")).week.bytes, 2);
});

test("the hours of the last day are shown, with gaps", () => {
	const hour = (h: number) => delta({ at: NOW - h * 3600e3, people: 0, up: h + 1, down: 0 });
	const { hours } = totals(book(hour(25), hour(24), hour(23), hour(5), hour(0)), NOW);
	assert.deepEqual([hours.length, hours[0], hours[18], hours[23]], [24, 24, 6, 1]);
	assert.equal(
		hours.reduce((a, b) => a + b),
		31,
	);
});

test("a clock that is set back or far ahead breaks nothing", () => {
	const l = book(delta(), delta({ at: 0 }), delta({ at: NOW * 2 }), delta());
	assert.equal(l.bytes, 400);
	assert.equal(totals(l, NOW).today.bytes, 200);
	assert.doesNotThrow(() => totals(l, 0));
});

test("the ledger is bounded and survives storage", () => {
	let l = openLedger(null, NOW);
	for (let i = 0; i < 500; i++) l = applyDelta(l, delta({ at: NOW + i * 7200e3, engine: `e${i}` }));
	assert.deepEqual([l.days.length, l.hours.length, l.engines.length], [40, 24, 8]);
	assert.deepEqual(openLedger(JSON.parse(JSON.stringify(l)), 0), l);
});

test("what is no ledger starts again", () => {
	const good = book(delta());
	const bad: unknown[] = [
		undefined,
		null,
		7,
		"x",
		[],
		{},
		{ ...good, version: 2 },
		{ ...good, bytes: -1 },
		{ ...good, bytes: "9" },
		{ ...good, people: Number.NaN },
	];
	bad.push(
		{ ...good, days: {} },
		{ ...good, days: [[1, 2]] },
		{ ...good, days: [null] },
		{ ...good, hours: [["1", 2]] },
		{ ...good, engines: [[1, 1]] },
	);
	bad.push(
		{ ...good, days: Array(41).fill([1, 1, 1]) },
		{ ...good, since: undefined },
		JSON.parse('{"__proto__":{"version":1}}'),
	);
	for (const stored of bad) assert.deepEqual(openLedger(stored, NOW), openLedger(null, NOW));
});

test("what is no delta is not added", () => {
	const l = book(delta());
	const bad: unknown[] = [
		{ seq: 1.5 },
		{ seq: -1 },
		{ up: Number.NaN },
		{ up: -1 },
		{ down: "9" },
		{ people: undefined },
		{ at: 1e300 },
		{ at: Number.NaN },
		{ engine: 7 },
		{ engine: "x".repeat(1000) },
	];
	for (const more of bad) assert.equal(applyDelta(l, delta(more as Partial<Delta>)), l);
	const stored: Ledger = l;
	assert.equal(stored.bytes, 100);
});
