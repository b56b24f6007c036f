import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { defaults } from "../core/settings.ts";
import { asleep } from "../shell/runner.ts";
import type { Command, Report } from "./link.ts";
import { OffscreenPage } from "./page.ts";

/** The parts of Chromium that OffscreenPage uses. */
class Chromium {
	/** What happened, in order. */
	readonly events: string[] = [];
	open = false;
	/** Whether each message is answered, in order; all after these are. */
	answers: boolean[] = [];
	readonly runtime = {
		ContextType: { OFFSCREEN_DOCUMENT: "OFFSCREEN_DOCUMENT" },
		getContexts: async () => (this.open ? [{}] : []),
		sendMessage: (command: Command): Promise<Report> => {
			this.events.push(command.do);
			const report: Report = { to: "counters", snapshot: asleep, deltas: [] };
			return (this.answers.shift() ?? true) ? Promise.resolve(report) : new Promise(() => {});
		},
	};
	readonly offscreen = {
		Reason: { WEB_RTC: "WEB_RTC" },
		createDocument: async () => {
			if (this.open) throw new Error("Only a single offscreen document may be created");
			this.open = true;
			this.events.push("open");
		},
		closeDocument: async () => {
			if (!this.open) throw new Error("No current offscreen document");
			this.open = false;
			this.events.push("close");
		},
	};
}

const original = globalThis.chrome;
let browser = new Chromium();
beforeEach(() => {
	browser = new Chromium();
	globalThis.chrome = browser as unknown as typeof chrome;
});
afterEach(() => {
	globalThis.chrome = original;
});

const heard = async () => {};

test("several at once open one document", async () => {
	const page = new OffscreenPage(heard);
	await Promise.all([1, 2, 3].map(() => page.apply(defaults(), 0)));
	assert.deepEqual(browser.events, ["open", "apply", "apply", "apply"]);
});

test("a document that does not answer within five seconds is opened anew", async (t) => {
	t.mock.timers.enable({ apis: ["setTimeout"] });
	browser.open = true;
	browser.answers = [false];
	const done = new OffscreenPage(heard).apply(defaults(), 0);
	while (browser.events.length === 0) await new Promise(setImmediate);
	t.mock.timers.tick(5_000);
	await done;
	assert.deepEqual(browser.events, ["apply", "close", "open", "apply"]);
});

test("a document lives on although what it tells cannot be stored, and who fails does not keep the next from trying", async () => {
	const page = new OffscreenPage(() => Promise.reject(new Error("storage is full")));
	for (let i = 0; i < 2; i++) await assert.rejects(page.apply(defaults(), 0), /storage is full/);
	assert.deepEqual(browser.events, ["open", "apply", "apply"]);
});

test("nothing is opened to be stopped, asked again or watched", async () => {
	const page = new OffscreenPage(heard);
	await page.stop(true);
	await page.retry();
	await page.watch(true);
	assert.deepEqual(browser.events, []);
});

test("a document with nothing to do is closed, unless it was given something meanwhile", async () => {
	const page = new OffscreenPage(heard);
	await page.apply(defaults(), 0);
	await page.rest();
	assert.equal(browser.open, true);
	await page.stop(false);
	await page.rest();
	await page.rest();
	assert.deepEqual(browser.events, ["open", "apply", "stop", "close"]);
	const resting = page.rest();
	await page.apply(defaults(), 0);
	await resting;
	assert.equal(browser.open, true);
});
