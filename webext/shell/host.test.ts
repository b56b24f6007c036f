import assert from "node:assert/strict";
import { test } from "node:test";
import { defaults } from "../core/settings.ts";
import type { Capabilities, Delta, Settings, Snapshot, View } from "../core/types.ts";
import { Host, type Store, type Stored } from "./host.ts";
import { asleep, type Runner } from "./runner.ts";

const capabilities: Capabilities = { battery: true, metered: true, background: true, storage: true };
const polling: Snapshot = { ...asleep, phase: "polling" };
const delta = (seq: number, people = 1): Delta => ({ engine: "e", seq, at: Date.now(), people, up: 10, down: 90 });

/** Storage as JSON, as in a browser. */
class Memory implements Store {
	json: Record<string, string> = {};
	full = false;
	async load(): Promise<Stored> {
		return Object.fromEntries(Object.entries(this.json).map(([name, text]) => [name, JSON.parse(text)]));
	}
	async save(some: Stored): Promise<void> {
		if (this.full) throw new Error("storage is full");
		for (const [name, value] of Object.entries(some)) this.json[name] = JSON.stringify(value);
	}
}

/** Writes down what is asked of it. */
class Recorder implements Runner {
	readonly calls: unknown[] = [];
	async apply(settings: Settings, used: number): Promise<void> {
		this.calls.push(["apply", settings.enabled, settings.maxClients, used]);
	}
	async stop(drain: boolean): Promise<void> {
		this.calls.push(["stop", drain]);
	}
	async retry(): Promise<void> {
		this.calls.push(["retry"]);
	}
	async watch(watched: boolean): Promise<void> {
		this.calls.push(["watch", watched]);
	}
}

test("nothing runs before the volunteer says so, and then each time it begins anew", async () => {
	const store = new Memory();
	const first = new Recorder();
	const host = new Host(first, store, capabilities);
	await host.resume();
	assert.deepEqual(first.calls, []);
	await host.send({ do: "enable" });
	assert.deepEqual(first.calls, [["apply", true, 2, 0]]);
	const second = new Recorder();
	await new Host(second, store, capabilities).resume();
	assert.deepEqual(second.calls, [["apply", true, 2, 0]]);
});

test("intents reach storage and engine, and a set does not switch on", async () => {
	const store = new Memory();
	const runner = new Recorder();
	const host = new Host(runner, store, capabilities);
	await host.send({ do: "set", settings: { maxClients: 5, enabled: true } as Partial<Settings> });
	assert.deepEqual(runner.calls, []);
	assert.deepEqual(await store.load(), { settings: { ...defaults(), maxClients: 5 } });
	await host.send({ do: "enable" });
	await host.send({ do: "retry" });
	await host.send({ do: "disable", drain: true });
	assert.deepEqual(runner.calls, [["apply", true, 5, 0], ["retry"], ["stop", true]]);
});

test("a delta counts once, also for a host that was stopped after it stored and before it said so", async () => {
	const store = new Memory();
	await new Host(new Recorder(), store, capabilities).report(polling, [delta(1), delta(2)]);
	const views: View[] = [];
	const host = new Host(new Recorder(), store, capabilities, (view) => views.push(view));
	await host.report(polling, [delta(1), delta(2), delta(3)]);
	assert.deepEqual(views.at(-1)?.totals.total, { people: 3, bytes: 300 });
});

test("reports that come together are all counted, and one that cannot be stored is refused", async () => {
	const store = new Memory();
	const host = new Host(new Recorder(), store, capabilities);
	await Promise.all([1, 2, 3, 4].map((seq) => host.report(polling, [delta(seq)])));
	store.full = true;
	await assert.rejects(host.report(polling, [delta(5)]), /storage is full/);
	store.full = false;
	await host.report(polling, [delta(5)]);
	const ledger = (await store.load()).ledger as { people: number };
	assert.equal(ledger.people, 5);
});

test("two hosts with one storage, as badges in two tabs, add up", async () => {
	const store = new Memory();
	const hosts = [new Host(new Recorder(), store, capabilities), new Host(new Recorder(), store, capabilities)];
	await hosts[0]?.report(polling, [{ ...delta(1), engine: "a" }]);
	await hosts[1]?.report(polling, [{ ...delta(1), engine: "b" }]);
	const ledger = (await store.load()).ledger as { people: number };
	assert.equal(ledger.people, 2);
});

test("all who watch see each change, and the engine knows whether anybody does", async () => {
	const runner = new Recorder();
	const host = new Host(runner, new Memory(), capabilities);
	const phases: string[][] = [[], []];
	const ends = phases.map((list) => host.watch((view) => list.push(view.snapshot.phase)));
	await new Promise(setImmediate);
	await host.report(polling, []);
	ends[0]?.();
	await host.report(asleep, []);
	ends[1]?.();
	assert.deepEqual(phases, [
		["off", "polling"],
		["off", "polling", "off"],
	]);
	assert.deepEqual(runner.calls.at(-1), ["watch", false]);
});

test("the month's bytes go with the settings, for the budget", async () => {
	const store = new Memory();
	await new Host(new Recorder(), store, capabilities).report(polling, [delta(1)]);
	const runner = new Recorder();
	await new Host(runner, store, capabilities).send({ do: "enable" });
	assert.deepEqual(runner.calls, [["apply", true, 2, 100]]);
});
