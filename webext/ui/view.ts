// What a volunteer sees and does, in popup and badge: a View in, Intents out.

import type { Backend, Totals } from "../core/types.ts";
import { form } from "./form.ts";
import { graph } from "./graph.ts";
import { flake } from "./icon.ts";
import { type Ask, type Kit, kit, type Part, setAttributes, setHidden, setText } from "./kit.ts";
import { stateOf } from "./state.ts";
import type { Words } from "./words.ts";

/** Where the view is shown: the popup of an extension, or a page embedded in another's. */
export interface Options {
	kind: "popup" | "badge";
}

/**
 * Shows in root what backend tells, in words, and sends what the volunteer asks for. Styles and tests hold on to the data of body.
 * Returns a function that ends it and empties root.
 */
export function mount(root: HTMLElement, backend: Backend, words: Words, { kind }: Options): () => void {
	const document = root.ownerDocument;
	const { dataset } = document.body;
	const ask: Ask = async (intent) => {
		setText(failure, "");
		try {
			await backend.send(intent);
			return true;
		} catch {
			setText(failure, words.say("failed"));
			return false;
		}
	};
	const tools = kit(document, words, ask);
	const failure = tools.make("p", { class: "failure", role: "alert" });
	const badge = kind === "badge";
	const parts = [head(tools, failure), introduction(tools, badge), counts(tools), network(tools, badge), form(tools, backend)];
	if (!badge) parts.splice(3, 0, graph(tools));
	parts.push(privacy(tools));
	setAttributes(document.documentElement, { lang: words.lang, dir: words.dir });
	const stop = backend.watch((view) => {
		const { phase, pause, trouble, nat } = view.snapshot;
		Object.assign(dataset, { kind, tone: stateOf(view)[0], phase, pause: pause ?? "", trouble: trouble ?? "", nat });
		for (const part of parts) part.show(view);
		// Nothing is shown before there is something true to show.
		if (!root.firstChild) root.append(...parts.map((part) => part.node));
	});
	return () => {
		stop();
		root.replaceChildren();
	};
}

/** The name, the switch, and the state in words. */
function head(tools: Kit, failure: HTMLElement): Part {
	const { make, said, button, words, ask } = tools;
	const title = make("p", { class: "title" });
	// Only this line is spoken when it changes, and it changes with the state only: numbers would never be still.
	const text = make("p", { class: "text", role: "status" });
	const toggle = make("button", { id: "toggle", role: "switch", "aria-label": words.say("toggle") });
	const stop = button("stop", "stop_now", { do: "disable", drain: false });
	const retry = button("retry", "retry", { do: "retry" });
	const turn = (on: boolean) => setAttributes(toggle, { "aria-checked": `${on}` });
	let pending = false;
	toggle.addEventListener("click", async () => {
		if (pending) return;
		pending = true;
		const on = toggle.getAttribute("aria-checked") !== "true";
		turn(on);
		if (!(await ask(on ? { do: "enable" } : { do: "disable", drain: true }))) turn(!on);
		pending = false;
	});
	const name = make("h1", {}, flake(tools), said("span", "appName"));
	return {
		node: make("header", {}, name, make("div", {}, title, toggle), text, stop, retry, failure),
		show(view) {
			const [tone, headline, sentence] = stateOf(view);
			const { phase, connected } = view.snapshot;
			setText(title, headline === "title_helping" ? words.count(headline, connected) : words.say(headline));
			setText(text, words.say(sentence));
			if (!pending) turn(view.settings.enabled);
			setHidden(stop, phase !== "draining", toggle);
			setHidden(retry, tone !== "bad", toggle);
		},
	};
}

/** What this does, that the volunteer is no exit, and for a badge what the consent covers. */
function introduction({ make, said }: Kit, badge: boolean): Part {
	const site = said("p", "badge_site", { class: "hint" });
	const kept = said("p", "badge_kept", { class: "hint" });
	const forgotten = said("p", "badge_forgotten", { class: "hint" });
	return {
		node: make("section", { class: "intro" }, said("p", "what"), said("p", "not_exit"), site, kept, forgotten),
		show({ capabilities }) {
			site.hidden = !badge;
			kept.hidden = !badge || !capabilities.storage;
			forgotten.hidden = !badge || capabilities.storage;
		},
	};
}

/** How many people were helped, and with how much data. */
function counts({ make, said, words }: Kit): Part {
	const list = make("dl", {});
	const count = (name: "now" | "today" | "week" | "total") => {
		const people = make("dd", { "data-count": name });
		const data = make("dd", { class: "data" });
		list.append(make("div", {}, said("dt", name), people, data));
		return (n: number, amount: string) => {
			setAttributes(people, { "data-value": `${n}` });
			setText(people, words.people(n));
			setText(data, amount);
		};
	};
	const now = count("now");
	const spans = (["today", "week", "total"] as const).map((name) => {
		const show = count(name);
		return ({ [name]: { people, bytes } }: Totals) => show(people, words.bytes(bytes));
	});
	return {
		node: make("section", { class: "counts" }, said("h2", "people"), list, said("p", "people_hint", { class: "hint" })),
		show({ snapshot, totals }) {
			now(snapshot.connected, words.rate(snapshot.rate));
			for (const show of spans) show(totals);
		},
	};
}

/** Whether this network can help, and what to do if it can only help some. A badge tells only of that. */
function network({ make, said, button, words }: Kit, badge: boolean): Part {
	const text = make("p", {});
	const tips = (["tip_upnp", "tip_nat", "tip_vpn", "tip_network"] as const).map((tip) => said("li", tip));
	const list = make("ul", {}, ...tips);
	const test = button("test", "test", { do: "retry" });
	const node = make("section", {}, said("h2", "network"), text, list, test);
	return {
		node,
		show({ settings, snapshot: { nat } }) {
			const restricted = nat === "restricted";
			node.hidden = badge && !restricted;
			setText(text, words.say(`nat_${nat}`));
			list.hidden = !restricted;
			test.hidden = !restricted || !settings.enabled;
		},
	};
}

/** What leaves the machine. */
function privacy({ make, said }: Kit): Part {
	const lines = (["privacy_broker", "privacy_peers", "privacy_none"] as const).map((line) => said("p", line));
	return { node: make("details", {}, said("summary", "privacy"), ...lines), show() {} };
}
