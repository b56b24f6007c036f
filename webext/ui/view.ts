// What a volunteer sees and does, in popup and badge: a View in, Intents out.

import type { Backend, Intent } from "../core/types.ts";
import { maker, type Part, setAttribute, setHidden, setText } from "./dom.ts";
import { type Ask, form } from "./form.ts";
import { graph } from "./graph.ts";
import { flake } from "./icon.ts";
import { stateOf } from "./state.ts";
import type { Words } from "./words.ts";

/** Where the view is shown: the popup of an extension, or a page embedded in another's. */
export interface Options {
	kind: "popup" | "badge";
}

/** The attributes of body that styles and tests hold on to. */
const marks = ["kind", "tone", "phase", "pause", "trouble", "nat"] as const;

/** Shows root what backend tells, in words, and sends what the volunteer asks for. Returns a function that ends it and empties root. */
export function mount(root: HTMLElement, backend: Backend, words: Words, options: Options): () => void {
	const document = root.ownerDocument;
	const make = maker(document);
	const failure = make("p", { class: "failure", role: "alert" });
	const ask: Ask = async (intent: Intent) => {
		setText(failure, "");
		try {
			await backend.send(intent);
			return true;
		} catch {
			setText(failure, words.say("failed"));
			return false;
		}
	};
	const badge = options.kind === "badge";
	const parts: Part[] = [
		head(document, words, ask, failure),
		introduction(document, words, badge),
		counts(document, words),
		...(badge ? [] : [graph(document, words)]),
		network(document, words, badge, ask),
		form(document, backend, words, ask),
		privacy(document, words),
	];
	const { body, documentElement } = document;
	documentElement.lang = words.lang;
	documentElement.dir = words.dir;
	const stop = backend.watch((view) => {
		const { phase, pause, trouble, nat } = view.snapshot;
		const now = { kind: options.kind, tone: stateOf(view).tone, phase, pause: pause ?? "", trouble: trouble ?? "", nat };
		for (const mark of marks) setAttribute(body, `data-${mark}`, now[mark]);
		for (const part of parts) part.show(view);
		// Nothing is shown before there is something true to show.
		if (!root.firstChild) root.append(...parts.map((part) => part.node));
	});
	return () => {
		stop();
		root.replaceChildren();
		for (const mark of marks) body.removeAttribute(`data-${mark}`);
	};
}

/** The name, the switch, and the state in words. */
function head(document: Document, words: Words, ask: Ask, failure: HTMLElement): Part {
	const make = maker(document);
	const title = make("p", { class: "title" });
	// Only this line is spoken when it changes, and it changes with the state only: numbers would never be still.
	const text = make("p", { class: "text", role: "status" });
	const toggle = make("button", { type: "button", id: "toggle", role: "switch", "aria-label": words.say("toggle") });
	const stop = make("button", { type: "button", id: "stop" }, words.say("stop_now"));
	const retry = make("button", { type: "button", id: "retry" }, words.say("retry"));
	let pending = false;
	toggle.addEventListener("click", async () => {
		if (pending) return;
		pending = true;
		const wanted = toggle.getAttribute("aria-checked") !== "true";
		setAttribute(toggle, "aria-checked", String(wanted));
		const done = await ask(wanted ? { do: "enable" } : { do: "disable", drain: true });
		if (!done) setAttribute(toggle, "aria-checked", String(!wanted));
		pending = false;
	});
	stop.addEventListener("click", () => void ask({ do: "disable", drain: false }));
	retry.addEventListener("click", () => void ask({ do: "retry" }));
	const name = make("h1", {}, flake(document), words.say("appName"));
	const node = make("header", {}, name, make("div", { class: "state" }, title, toggle), text, stop, retry, failure);
	return {
		node,
		show(view) {
			const state = stateOf(view);
			setText(title, state.title ? words.say(state.title) : words.count("title_helping", view.snapshot.connected));
			setText(text, words.say(state.text));
			if (!pending) setAttribute(toggle, "aria-checked", String(view.settings.enabled));
			setHidden(stop, view.snapshot.phase !== "draining", toggle);
			setHidden(retry, !state.retry, toggle);
		},
	};
}

/** What this does, that the volunteer is no exit, and for a badge what the consent covers. */
function introduction(document: Document, words: Words, badge: boolean): Part {
	const make = maker(document);
	const node = make("section", { class: "intro" }, make("p", {}, words.say("what")), make("p", {}, words.say("not_exit")));
	const forgotten = make("p", { class: "hint" }, words.say("badge_forgotten"));
	if (badge) node.append(make("p", { class: "hint" }, words.say("badge_site")), forgotten);
	return {
		node,
		show({ capabilities }) {
			forgotten.hidden = capabilities.storage;
		},
	};
}

/** How many people were helped, and with how much data. */
function counts(document: Document, words: Words): Part {
	const make = maker(document);
	const list = make("dl");
	const count = (name: "now" | "today" | "week" | "total") => {
		const people = make("dd", { "data-count": name });
		const data = make("dd", { class: "data" });
		list.append(make("div", {}, make("dt", {}, words.say(name)), people, data));
		return (n: number, amount: string) => {
			setAttribute(people, "data-value", String(n));
			setText(people, words.people(n));
			setText(data, amount);
		};
	};
	const [now, today, week, total] = [count("now"), count("today"), count("week"), count("total")];
	const heading = make("h2", {}, words.say("people"));
	return {
		node: make("section", { class: "counts" }, heading, list, make("p", { class: "hint" }, words.say("people_hint"))),
		show({ snapshot, totals }) {
			now(snapshot.connected, words.rate(snapshot.rate));
			today(totals.today.people, words.bytes(totals.today.bytes));
			week(totals.week.people, words.bytes(totals.week.bytes));
			total(totals.total.people, words.bytes(totals.total.bytes));
		},
	};
}

/** Whether this network can help, and what to do if it can only help some. A badge tells only of that. */
function network(document: Document, words: Words, badge: boolean, ask: Ask): Part {
	const make = maker(document);
	const text = make("p", { class: "nat" });
	const tips = (["tip_upnp", "tip_nat", "tip_vpn", "tip_other"] as const).map((tip) => make("li", {}, words.say(tip)));
	const list = make("ul", {}, ...tips);
	const test = make("button", { type: "button", id: "test" }, words.say("test"));
	test.addEventListener("click", () => void ask({ do: "retry" }));
	const node = make("section", { class: "network" }, make("h2", {}, words.say("network")), text, list, test);
	return {
		node,
		show({ settings, snapshot: { nat } }) {
			node.hidden = badge && nat !== "restricted";
			setText(text, words.say(`nat_${nat}`));
			list.hidden = nat !== "restricted";
			test.hidden = nat !== "restricted" || !settings.enabled;
		},
	};
}

/** What leaves the machine. */
function privacy(document: Document, words: Words): Part {
	const make = maker(document);
	const lines = (["privacy_broker", "privacy_peers", "privacy_none"] as const).map((line) => make("p", {}, words.say(line)));
	return { node: make("details", { class: "panel" }, make("summary", {}, words.say("privacy")), ...lines), show() {} };
}
