import assert from "node:assert/strict";
import { test } from "node:test";
import english from "../_locales/en/messages.json";
import type { Backend, Intent, View } from "../core/types.ts";
import { FakeDocument } from "./fakepage.ts";
import { samples } from "./samples.ts";
import markup from "./view.html";
import { mount, type Options } from "./view.ts";
import { fetchWords, type Messages, type Words } from "./words.ts";

/** Messages that are not the view's: those of the manifests, and of the language itself. */
const elsewhere = ["appDesc", "lang"];

const spoken = await fetchWords(["en"], async () => english as Messages);

/** A view on a made-up page, a backend that notes what it is asked for, and what the volunteer sees and does. */
function show(view: View, { kind = "popup", words = spoken }: { kind?: Options["kind"]; words?: Words } = {}) {
	const document = new FakeDocument(markup);
	const sent: (Intent | "question")[] = [];
	let listener: ((view: View) => void) | null = null;
	const page = {
		document,
		body: document.body,
		sent,
		/** What becomes of what is asked for. */
		answer: async () => {},
		permitted: true,
		update: (view: View) => listener?.(view),
		find: (attribute: string, value: string) => document.body.find(attribute, value),
		click: (id: string) => document.body.find("id", id).fire("click"),
		unmount: () => {},
		watched: () => listener !== null,
	};
	const backend: Backend = {
		watch(given) {
			listener = given;
			given(view);
			return () => {
				listener = null;
			};
		},
		send(intent) {
			sent.push(intent);
			return page.answer();
		},
		async requestBackground() {
			sent.push("question");
			return page.permitted;
		},
	};
	page.unmount = mount(document.body as unknown as HTMLElement, backend, words, { kind });
	return page;
}

/** Lets what was awaited go on. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

test("the view uses every message there is, and no other", async () => {
	const used = new Set<string>();
	const words: Words = {
		...spoken,
		say(key, ...values) {
			used.add(key);
			return spoken.say(key, ...values);
		},
		count(key, n) {
			for (const form of ["one", "other"]) used.add(`${key}_${form}`);
			return spoken.count(key, n);
		},
	};
	for (const kind of ["popup", "badge"] as const) for (const view of everyView()) show(view, { kind, words });
	const page = show(samples.off, { words });
	page.answer = () => Promise.reject(new Error("no"));
	page.click("toggle");
	await settle();
	const expected = Object.keys(english).filter((key) => !elsewhere.includes(key));
	assert.deepEqual([...used].sort(), expected.sort());
});

/** A view for each value of the words in core/types.ts. */
function everyView(): View[] {
	const change = (snapshot: Partial<View["snapshot"]>) => ({
		...samples.ready,
		snapshot: { ...samples.ready.snapshot, ...snapshot },
	});
	return [
		...Object.values(samples),
		change({ trouble: null }),
		...(["battery", "metered", "budget", "offline"] as const).map((pause) => change({ phase: "paused", pause })),
		...(["no-webrtc", "broker-unreachable", "no-candidates", "relay-unreachable", "restricted", "nobody-yet"] as const).map(
			(trouble) => change({ trouble }),
		),
		...(["unknown", "restricted", "unrestricted"] as const).map((nat) => change({ nat })),
	];
}

test("no message is missing in any state", () => {
	for (const kind of ["popup", "badge"] as const) {
		for (const view of everyView()) {
			const page = show(view, { kind });
			const leaves = page.body.all().filter((element) => ["h2", "p", "label", "option", "summary", "li"].includes(element.tag));
			for (const leaf of leaves) if (leaf.getAttribute("role") !== "alert") assert.notEqual(leaf.textContent, "", leaf.tag);
		}
	}
});

test("the body tells the state, and the page its language", () => {
	const { body, document } = show(samples.restricted);
	const { phase, pause, trouble, nat, kind } = body.dataset;
	assert.deepEqual([phase, pause, trouble, nat, kind], ["polling", "", "restricted", "restricted", "popup"]);
	assert.equal(show(samples.paused).body.dataset.pause, "battery");
	assert.deepEqual([document.documentElement.getAttribute("lang"), document.documentElement.getAttribute("dir")], ["en", "ltr"]);
});

test("the headline never says off while the switch says on", () => {
	const { off } = samples;
	const page = show({ ...off, settings: { ...off.settings, enabled: true } });
	assert.equal(page.find("class", "title").textContent, english.title_starting.message);
	assert.equal(show(off).find("class", "title").textContent, english.title_off.message);
});

test("counters hold bare numbers", () => {
	const page = show(samples.helping);
	const values = ["now", "today", "week", "total"].map((name) => page.find("data-count", name).getAttribute("data-value"));
	assert.deepEqual(values, ["3", "12", "86", "1304"]);
	assert.equal(page.find("data-count", "total").textContent, "1,304");
});

test("one click switches on, another lets people finish, and stopping now is a third", async () => {
	const page = show(samples.off);
	assert.equal(page.find("role", "switch").getAttribute("aria-checked"), "false");
	page.click("toggle");
	assert.equal(page.find("id", "toggle").getAttribute("aria-checked"), "true");
	await settle();
	page.update(samples.helping);
	assert.equal(page.find("id", "stop").hidden, true);
	page.click("toggle");
	await settle();
	page.update(samples.draining);
	assert.equal(page.find("id", "stop").hidden, false);
	page.click("stop");
	assert.deepEqual(page.sent, [{ do: "enable" }, { do: "disable", drain: true }, { do: "disable", drain: false }]);
});

test("while a click is on its way, an older view and further clicks change nothing", async () => {
	const page = show(samples.off);
	let done = () => {};
	page.answer = () => new Promise((resolve) => (done = resolve));
	page.click("toggle");
	page.update(samples.off);
	page.click("toggle");
	assert.equal(page.find("id", "toggle").getAttribute("aria-checked"), "true");
	assert.equal(page.sent.length, 1);
	done();
	await settle();
	page.update(samples.off);
	assert.equal(page.find("id", "toggle").getAttribute("aria-checked"), "false");
});

test("what could not be done is taken back and said, until the next try", async () => {
	const page = show(samples.off);
	page.answer = () => Promise.reject(new Error("no"));
	page.click("toggle");
	await settle();
	assert.equal(page.find("id", "toggle").getAttribute("aria-checked"), "false");
	assert.equal(page.find("role", "alert").textContent, english.failed.message);
	page.answer = async () => {};
	page.click("toggle");
	assert.equal(page.find("role", "alert").textContent, "");
});

test("trying again is offered where it may help", () => {
	const page = show(samples.error);
	assert.equal(page.find("id", "retry").hidden, false);
	page.click("retry");
	assert.deepEqual(page.sent, [{ do: "retry" }]);
	assert.equal(show(samples.ready).find("id", "retry").hidden, true);
	assert.equal(show(samples.helping).find("id", "retry").hidden, true);
});

test("the focus of a button that goes away is handed to the switch", () => {
	const page = show(samples.draining);
	page.find("id", "stop").focus();
	page.update(samples.draining);
	assert.equal(page.document.activeElement, page.find("id", "stop"));
	page.update(samples.off);
	assert.equal(page.document.activeElement, page.find("id", "toggle"));
});

test("settings are sent under their own names", async () => {
	const page = show(samples.ready);
	for (const [name, value] of Object.entries({ maxClients: "5", rateLimit: "500000", monthlyBudget: "50000000000" })) {
		page.find("name", name).value = value;
		page.find("name", name).fire("change");
	}
	page.find("name", "onlyCharging").checked = true;
	page.find("name", "onlyCharging").fire("change");
	await settle();
	assert.deepEqual(page.sent, [
		{ do: "set", settings: { maxClients: 5 } },
		{ do: "set", settings: { rateLimit: 500e3 } },
		{ do: "set", settings: { monthlyBudget: 50e9 } },
		{ do: "set", settings: { onlyCharging: true } },
	]);
});

test("a volunteer can type a budget, and a value that is in no list is shown", async () => {
	const page = show(samples.ready);
	const amount = page.find("type", "number");
	assert.equal(amount.hidden, true);
	page.find("name", "monthlyBudget").value = "other";
	page.find("name", "monthlyBudget").fire("change");
	assert.equal(amount.hidden, false);
	assert.equal(page.document.activeElement, amount);
	for (const typed of ["", "0", "-3", "37"]) {
		amount.value = typed;
		amount.fire("change");
	}
	assert.deepEqual(page.sent, [{ do: "set", settings: { monthlyBudget: 37e9 } }]);
	assert.equal(show(samples.budget).find("name", "monthlyBudget").value, "20000000000");
});

test("running without a window is asked of the browser first", async () => {
	const page = show(samples.ready);
	const box = page.find("name", "background");
	page.permitted = false;
	box.checked = true;
	box.fire("change");
	assert.deepEqual(page.sent, ["question"], "asked in the handler itself");
	await settle();
	assert.equal(box.checked, false);
	page.permitted = true;
	box.checked = true;
	box.fire("change");
	await settle();
	assert.deepEqual(page.sent.slice(1), ["question", { do: "set", settings: { background: true } }]);
});

test("what a browser cannot do is not offered", () => {
	const capabilities = { battery: false, metered: false, background: false, storage: false };
	const page = show({ ...samples.ready, capabilities }, { kind: "badge" });
	const rows = page.body.all().filter((element) => element.getAttribute("class") === "row" && !element.hidden);
	const names = rows.flatMap((row) => row.all().flatMap((element) => element.getAttribute("name") ?? []));
	assert.deepEqual(names, ["maxClients", "rateLimit", "monthlyBudget"]);
});

test("a badge says what the consent covers, and whether it is remembered or forgotten", () => {
	const shown = (view: View, kind: Options["kind"]) => {
		const page = show(view, { kind });
		const lines = page.body.all().filter((element) => element.tag === "p" && !element.hidden);
		return [english.badge_site, english.badge_kept, english.badge_forgotten].map(({ message }) =>
			lines.some((line) => line.textContent === message),
		);
	};
	const sandboxed = { ...samples.off, capabilities: { ...samples.off.capabilities, storage: false } };
	assert.deepEqual(shown(samples.off, "badge"), [true, true, false]);
	assert.deepEqual(shown(sandboxed, "badge"), [true, false, true]);
	assert.deepEqual(shown(sandboxed, "popup"), [false, false, false]);
});

test("what has not changed is not written again", () => {
	const page = show(samples.helping);
	const elements = page.body.all();
	const before = page.document.texts;
	page.update(samples.helping);
	assert.equal(page.document.texts, before);
	assert.deepEqual(page.body.all(), elements);
	page.update({ ...samples.helping, snapshot: { ...samples.helping.snapshot, connected: 4 } });
	assert.equal(page.document.texts, before + 2, "the headline and one counter");
});

test("the graph says what it shows", () => {
	const page = show(samples.helping);
	assert.match(page.find("role", "img").getAttribute("aria-label") ?? "", /1 GB.*141 MB/);
	const heights = page.body.all().flatMap((element) => (element.tag === "rect" ? [element.getAttribute("height")] : []));
	assert.equal(heights.length, 24);
	assert.equal(heights[22], "100%");
	assert.equal(heights[1], "3%");
});

test("unmounting ends the watch and leaves nothing", () => {
	const page = show(samples.ready);
	page.unmount();
	assert.equal(page.watched(), false);
	assert.equal(page.body.firstChild, null);
});
