// What a volunteer sees and does, in popup and badge: a View in, Intents out. What there is to see is in view.html.

import type { Backend, Intent } from "../core/types.ts";
import { form } from "./form.ts";
import { graph } from "./graph.ts";
import { type Ask, type Kit, type Part, setAttributes, setText } from "./kit.ts";
import { stateOf } from "./state.ts";
import type { Key, Words } from "./words.ts";

/** Where the view is shown: the popup of an extension, or a page embedded in another's. */
export interface Options {
	kind: "popup" | "badge";
}

/**
 * Shows in root what backend tells, in words, and sends what the volunteer asks for. Styles and tests hold on to the data of body.
 * The document has view.html as its template. Returns a function that ends it and empties root.
 */
export function mount(root: HTMLElement, backend: Backend, words: Words, { kind }: Options): () => void {
	const document = root.ownerDocument;
	const { content } = document.querySelector("template") as HTMLTemplateElement;
	const find: Kit["find"] = (selector) => content.querySelector(selector) as never;
	const all: Kit["all"] = (selector) => [...content.querySelectorAll(selector)] as never[];
	const failure = find(".failure");
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
	const kit = { words, ask, find, all };
	speak(kit);
	const parts = [head(kit), ...counts(kit), graph(kit), form(kit, backend), conditions(kit, kind === "badge")];
	setAttributes(document.documentElement, { lang: words.lang, dir: words.dir });
	const stop = backend.watch((view) => {
		const { phase, pause, trouble, nat } = view.snapshot;
		Object.assign(document.body.dataset, {
			kind,
			tone: stateOf(view)[0],
			phase,
			pause: pause ?? "",
			trouble: trouble ?? "",
			nat,
		});
		for (const show of parts) show(view);
		// Nothing is shown before there is something true to show.
		if (!root.firstChild) root.append(content);
	});
	return () => {
		stop();
		root.replaceChildren();
	};
}

/** Gives the elements their words. */
function speak({ all, words }: Kit): void {
	for (const element of all("[data-say]")) setText(element, words.say(element.dataset.say as Key));
	for (const element of all("[data-label]")) setAttributes(element, { "aria-label": words.say(element.dataset.label as Key) });
}

/** The switch, and the state in words. */
function head({ find, words, ask }: Kit): Part {
	const title = find(".title");
	const text = find(".text");
	const nat = find("#nat");
	const toggle = find("#toggle");
	const on = (selector: string, intent: Intent) => find(selector).addEventListener("click", () => void ask(intent));
	on("#stop", { do: "disable", drain: false });
	on("#retry", { do: "retry" });
	on("#test", { do: "retry" });
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
	return (view) => {
		const [, headline, sentence] = stateOf(view);
		const { snapshot, settings } = view;
		setText(title, headline === "helping" ? words.count("title_helping", snapshot.connected) : words.say(`title_${headline}`));
		setText(text, words.say(sentence));
		setText(nat, words.say(`nat_${snapshot.nat}`));
		if (!pending) turn(settings.enabled);
	};
}

/** How many people were helped, and with how much data. */
function counts({ find, words }: Kit): Part[] {
	return (["now", "today", "week", "total"] as const).map((name) => {
		const count = find(`[data-count=${name}]`);
		const data = find(`[data-amount=${name}]`);
		return ({ snapshot, totals }) => {
			const people = name === "now" ? snapshot.connected : totals[name].people;
			setAttributes(count, { "data-value": `${people}` });
			setText(count, words.people(people));
			setText(data, name === "now" ? words.rate(snapshot.rate) : words.bytes(totals[name].bytes));
		};
	});
}

/** Shows what depends on facts, and hides it. A focus that would be lost goes to the switch. */
function conditions({ find, all }: Kit, badge: boolean): Part {
	const toggle = find("#toggle");
	const elements = all("[data-if]");
	return (view) => {
		const { capabilities, settings, snapshot, totals } = view;
		const restricted = snapshot.nat === "restricted";
		const facts: Record<string, boolean> = {
			...capabilities,
			badge,
			kept: badge && capabilities.storage,
			forgotten: badge && !capabilities.storage,
			traffic: !badge && totals.hours.some((bytes) => bytes),
			restricted,
			// A badge tells of the network only if it can help some people only.
			network: !badge || restricted,
			testable: restricted && settings.enabled,
			draining: snapshot.phase === "draining",
			bad: stateOf(view)[0] === "bad",
		};
		for (const element of elements) {
			const hidden = !facts[element.dataset.if as string];
			if (hidden && element.ownerDocument.activeElement === element) toggle.focus();
			element.hidden = hidden;
		}
	};
}
