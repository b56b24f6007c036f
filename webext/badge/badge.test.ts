import assert from "node:assert/strict";
import { test } from "node:test";
import type { Ports } from "../core/ports.ts";
import { readOptions } from "./options.ts";
import { openStore } from "./store.ts";
import { type Answer, inWorker, type Order, type Servant } from "./worker.ts";

test("options are read from the address, and nonsense counts as not said", () => {
	const none = { debug: false, silent: false, rateLimit: 0, lang: "" };
	assert.deepEqual(readOptions(""), none);
	assert.deepEqual(readOptions("?debug&silent=1&ratelimit=100000&lang=de"), {
		debug: true,
		silent: true,
		rateLimit: 100000,
		lang: "de",
	});
	assert.deepEqual(readOptions("?debug=0&silent=false&ratelimit=-1"), none);
	for (const rate of ["1e9", "many", "0x10", "1.5", "9".repeat(30)]) assert.equal(readOptions(`?ratelimit=${rate}`).rateLimit, 0);
});

/** localStorage, which can become full. */
class Local implements Pick<Storage, "getItem" | "setItem" | "removeItem"> {
	readonly items = new Map<string, string>();
	full = false;
	getItem(name: string): string | null {
		return this.items.get(name) ?? null;
	}
	setItem(name: string, value: string): void {
		if (this.full) throw new Error("QuotaExceededError");
		this.items.set(name, value);
	}
	removeItem(name: string): void {
		this.items.delete(name);
	}
}

test("what is stored lasts where the browser lets it, and else as long as the page", async () => {
	const localStorage = new Local() as unknown as Storage;
	const store = openStore({ localStorage });
	assert.equal(store.lasts, true);
	await store.save({ settings: { enabled: true } });
	assert.deepEqual((await openStore({ localStorage }).load()).settings, { enabled: true });

	const sandboxed = openStore({
		get localStorage(): Storage {
			throw new Error("SecurityError");
		},
	});
	assert.equal(sandboxed.lasts, false);
	await sandboxed.save({ settings: { enabled: true } });
	assert.deepEqual(await sandboxed.load(), { settings: { enabled: true }, ledger: undefined });
});

test("storage that is full from the start does not last, and what cannot be read is nothing", async () => {
	const local = new Local();
	local.items.set("flurry-settings", "{broken");
	const localStorage = local as unknown as Storage;
	assert.deepEqual(await openStore({ localStorage }).load(), { settings: undefined, ledger: undefined });
	local.full = true;
	assert.equal(openStore({ localStorage }).lasts, false);
});

/** The other side of a Worker. */
class Fake implements Servant {
	readonly orders: Order[] = [];
	onmessage: Servant["onmessage"] = null;
	postMessage(order: Order): void {
		this.orders.push(order);
	}
	answer(answer: Answer): void {
		this.onmessage?.({ data: answer } as MessageEvent<Answer>);
	}
}

const noPorts = { clock: {} } as Ports;

test("timers run in the Worker, and one that is cancelled does nothing even if it was on its way", () => {
	const worker = new Fake();
	const { clock } = inWorker(noPorts, worker);
	const fired: string[] = [];
	clock.after(5, () => fired.push("a"));
	const cancel = clock.after(7, () => fired.push("b"));
	cancel();
	cancel();
	worker.answer({ id: 2 });
	worker.answer({ id: 1 });
	worker.answer({ id: 1 });
	assert.deepEqual(fired, ["a"]);
	assert.deepEqual(worker.orders, [
		{ id: 1, do: "after", ms: 5 },
		{ id: 2, do: "after", ms: 7 },
		{ id: 2, do: "cancel" },
	]);
});

test("requests run in the Worker, with their failures, and end with their signal", async () => {
	const worker = new Fake();
	const { post } = inWorker(noPorts, worker);
	const life = new AbortController();
	const good = post("https://broker.example/proxy", "poll", life.signal);
	const bad = post("https://broker.example/proxy", "poll", life.signal);
	const late = post("https://broker.example/proxy", "poll", life.signal);
	worker.answer({ id: 1, text: "" });
	worker.answer({ id: 2, error: "HTTP status 500" });
	life.abort(new Error("ended"));
	assert.equal(await good, "");
	await assert.rejects(bad, /HTTP status 500/);
	await assert.rejects(late, /ended/);
	await assert.rejects(post("https://broker.example/proxy", "poll", life.signal), /ended/);
	assert.deepEqual(
		worker.orders.map((order) => order.do),
		["post", "post", "post", "cancel"],
	);
});
