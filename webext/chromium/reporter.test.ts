import assert from "node:assert/strict";
import { test } from "node:test";
import type { Delta, Snapshot } from "../core/types.ts";
import { asleep } from "../shell/runner.ts";
import type { Acknowledgement, Report } from "./link.ts";
import { Reporter } from "./reporter.ts";

const serving: Snapshot = { ...asleep, phase: "polling", connected: 1 };
const delta = (seq: number): Delta => ({ engine: "e", seq, at: 0, people: 0, up: seq, down: 0 });

/** A worker whose answers the test gives. */
class Worker {
	readonly reports: Report[] = [];
	#answer: ((answer: Acknowledgement | Error) => void) | undefined;
	readonly send = (report: Report): Promise<Acknowledgement> => {
		this.reports.push(structuredClone(report));
		return new Promise((resolve, reject) => {
			this.#answer = (answer) => (answer instanceof Error ? reject(answer) : resolve(answer));
		});
	};

	/** Answers the report that waits, and has what follows from it happen. */
	async answer(answer: Acknowledgement | Error): Promise<void> {
		this.#answer?.(answer);
		await new Promise(setImmediate);
	}

	get seqs(): number[][] {
		return this.reports.map((report) => report.deltas.map(({ seq }) => seq));
	}
}

test("what changes the toolbar is told at once, the rate only to those who look", async () => {
	const worker = new Worker();
	const reporter = new Reporter(worker.send);
	reporter.note(serving, []);
	await worker.answer({ seq: 0 });
	reporter.note({ ...serving, rate: 5 }, []);
	assert.equal(worker.reports.length, 1);
	reporter.watch(true);
	reporter.note({ ...serving, rate: 6 }, []);
	assert.deepEqual(
		worker.reports.map(({ snapshot }) => snapshot.rate),
		[0, 6],
	);
});

test("a delta stays until it is acknowledged, and one that comes meanwhile goes afterwards", async () => {
	const worker = new Worker();
	const reporter = new Reporter(worker.send);
	reporter.watch(true);
	reporter.note(serving, [delta(1)]);
	reporter.note(serving, [delta(2)]);
	assert.deepEqual(worker.seqs, [[1]]);
	await worker.answer({ seq: 1 });
	assert.deepEqual(worker.seqs, [[1], [2]]);
	await worker.answer({ seq: 2 });
	assert.deepEqual(reporter.report.deltas, []);
});

test("what a worker did not take comes again, with all that came since, without being asked", async (t) => {
	t.mock.timers.enable({ apis: ["setTimeout"] });
	const worker = new Worker();
	const reporter = new Reporter(worker.send);
	reporter.note(serving, [delta(1)]);
	reporter.note(serving, [delta(2)]);
	await worker.answer(new Error("the worker was stopped"));
	assert.deepEqual(worker.seqs, [[1]]);
	t.mock.timers.tick(60_000);
	assert.deepEqual(worker.seqs, [[1], [1, 2]]);
	await worker.answer({ seq: 0 }); // it could not store them
	t.mock.timers.tick(60_000);
	assert.deepEqual(worker.seqs, [[1], [1, 2], [1, 2]]);
});

test("unwatched deltas of a session wait for a minute, so that the worker sleeps", async (t) => {
	t.mock.timers.enable({ apis: ["setTimeout"] });
	const worker = new Worker();
	const reporter = new Reporter(worker.send);
	reporter.note(serving, []);
	await worker.answer({ seq: 0 });
	for (let seq = 1; seq <= 5; seq++) {
		reporter.note(serving, [delta(seq)]);
		t.mock.timers.tick(10_000);
	}
	assert.equal(worker.reports.length, 1);
	t.mock.timers.tick(10_000);
	assert.deepEqual(worker.seqs, [[], [1, 2, 3, 4, 5]]);
});
