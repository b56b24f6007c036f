import type { Delta, Snapshot } from "../core/types.ts";

/** How many lines are kept on the page. */
const most = 200;

/** Tells on the console and in an element what the engine does. What it tells has no addresses in it. */
export class DebugLog {
	readonly #element: Element | null;
	#last = "";

	/** element is null where nothing may be seen on the page. */
	constructor(element: Element | null) {
		this.#element = element;
	}

	/** Takes note of what the engine tells, if it is news. */
	note({ phase, pause, trouble, nat, connected, lastPoll }: Snapshot, deltas: readonly Delta[]): void {
		const poll = lastPoll ? new Date(lastPoll).toISOString() : "never";
		const state = `${phase} pause=${pause} trouble=${trouble} nat=${nat} connected=${connected} poll=${poll}`;
		if (state !== this.#last) this.write(state);
		this.#last = state;
		for (const { people, up, down } of deltas) this.write(`people+${people} up+${up} down+${down} bytes`);
	}

	/** Writes one line, with the time before it. */
	write(line: string): void {
		const text = `${new Date().toISOString()} ${line}`;
		console.log(text);
		if (!this.#element) return;
		this.#element.append(`${text}\n`);
		if (this.#element.childNodes.length > most) this.#element.firstChild?.remove();
	}
}
