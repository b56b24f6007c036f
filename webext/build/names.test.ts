import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { runInNewContext } from "node:vm";
import { FakeDocument } from "../ui/fakepage.ts";
import markup from "../ui/view.html";

const dir = mkdtempSync(join(tmpdir(), "webext-names-"));
after(() => rmSync(dir, { recursive: true }));
const made = spawnSync(process.execPath, ["build.mjs", "--outdir", dir], { encoding: "utf8" });
assert.equal(made.status, 0, made.stdout + made.stderr);

/** What an earlier version has stored. */
const stored = () => ({
	settings: {
		enabled: false,
		maxClients: 4,
		rateLimit: 250_000,
		monthlyBudget: 50e9,
		onlyCharging: true,
		onlyUnmetered: true,
		background: true,
	},
	ledger: { version: 1, since: 1, people: 4321, bytes: 8765, days: [], hours: [], engines: [["e", 1]] },
});

/** Runs a script of a release build as the page that is in the background, of a browser whose storage has what is stored. */
function run(script: string, storage: ReturnType<typeof stored>) {
	const heard: Record<string, (...values: unknown[]) => void> = {};
	const event = (name: string) => ({
		addListener: (listener: (...values: unknown[]) => void) => {
			heard[name] = listener;
		},
	});
	const local = { get: async () => storage, set: async (some: object) => void Object.assign(storage, some) };
	const nothing = { onAlarm: event("alarm"), clear: async () => true, get: async () => undefined, create: async () => {} };
	const chrome = {
		runtime: {
			id: "id",
			onConnect: event("connect"),
			onMessage: event("message"),
			onInstalled: event("installed"),
			onStartup: event("startup"),
			getContexts: async () => [],
			ContextType: { OFFSCREEN_DOCUMENT: "OFFSCREEN_DOCUMENT" },
		},
		permissions: { onRemoved: event("removed") },
		alarms: nothing,
		storage: { local },
		action: { setBadgeText: async () => {}, setIcon: async () => {} },
	};
	class MessageChannel {
		port1 = {};
		port2 = {};
	}
	const location = { pathname: "/app.js" };
	const page = { chrome, location, navigator: {}, crypto, URL, AbortController, MessageChannel, setTimeout, clearTimeout };
	runInNewContext(readFileSync(script, "utf8"), page);
	return (name: string, ...values: unknown[]) => heard[name]?.(...values);
}

const settle = () => new Promise(setImmediate);

test("what is stored and sent has the same names in each version, whatever the build shortens", async () => {
	for (const target of ["chromium", "firefox"]) {
		const script = readFileSync(join(dir, target, "app.js"), "utf8");
		for (const name of [
			"Sid",
			"Version",
			"Type",
			"NAT",
			"Clients",
			"AcceptedRelayPattern",
			"Answer",
			"Status",
			"Offer",
			"NextPoll",
		])
			assert.match(script, new RegExp(`\\b${name}\\b`), `${name} is what the broker reads`);
		const storage = stored();
		const happens = run(join(dir, target, "app.js"), storage);
		const views: unknown[] = [];
		const onDisconnect = { addListener() {} };
		happens("connect", { name: "view", sender: { id: "id" }, onDisconnect, postMessage: (view: unknown) => views.push(view) });
		await settle();
		assert.match(JSON.stringify(views.at(-1)), /:4321,.*:8765/, "the counters are read");
		happens("removed", { permissions: ["background"] });
		await settle();
		const { settings, ledger } = stored();
		assert.deepEqual(JSON.parse(JSON.stringify(storage)), { settings: { ...settings, background: false }, ledger });
	}
});

test("the popup of a release says what the markup names", () => {
	for (const target of ["chromium", "firefox"]) {
		const document = new FakeDocument(markup);
		const page = { document, location: { pathname: "/popup.html" }, chrome: popupsBrowser(), setTimeout, clearTimeout };
		runInNewContext(readFileSync(join(dir, target, "app.js"), "utf8"), page);
		const { content } = document.querySelector("template");
		for (const element of content.querySelectorAll("[data-say]"))
			assert.equal(element.textContent, `message ${element.getAttribute("data-say")}`);
		assert.equal(content.find("id", "toggle").getAttribute("aria-label"), "message toggle");
	}
});

/** As much of a browser as a popup needs that nobody answers. */
function popupsBrowser() {
	const event = { addListener() {} };
	return {
		i18n: { getMessage: (key: string) => (key === "lang" ? "en" : `message ${key}`) },
		runtime: { connect: () => ({ onMessage: event, onDisconnect: event }) },
	};
}
