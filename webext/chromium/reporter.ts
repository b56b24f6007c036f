import type { Delta, Snapshot } from "../core/types.ts";
import { asleep } from "../shell/runner.ts";
import type { Acknowledgement, Report } from "./link.ts";

/**
 * How long deltas wait when nobody looks, in ms. The browser stops a service worker 30 s after its last event, so that it sleeps at
 * least half of the time while a session goes on; what a crash can lose from the counters is this much.
 */
const unwatchedEvery = 60_000;

/**
 * Tells the service worker what the engine does, and keeps each delta until the worker says that it has stored it. The worker may
 * be stopped at any moment, also between storing and saying so: a delta that comes twice has the same number, and counts once.
 */
export class Reporter {
	readonly #send: (report: Report) => Promise<Acknowledgement>;
	#deltas: Delta[] = [];
	#snapshot: Snapshot = asleep;
	/** What the worker has been told. */
	#told = "";
	#watched = false;
	#timer: ReturnType<typeof setTimeout> | undefined;
	#sending = false;
	#again = false;

	/** send delivers to the worker, which is woken for it, and rejects if it could not. */
	constructor(send: (report: Report) => Promise<Acknowledgement>) {
		this.#send = send;
	}

	/** The present, for the worker who asks. */
	get report(): Report {
		return { to: "counters", snapshot: this.#snapshot, deltas: this.#deltas };
	}

	/** Takes what the engine tells. */
	note(snapshot: Snapshot, deltas: readonly Delta[]): void {
		this.#snapshot = snapshot;
		this.#deltas.push(...deltas);
		if (this.#watched || matter(snapshot) !== this.#told) void this.#now();
		else if (this.#deltas.length > 0) this.#later();
	}

	/** Sets whether somebody looks. */
	watch(watched: boolean): void {
		this.#watched = watched;
	}

	#later(): void {
		this.#timer ??= setTimeout(() => void this.#now(), unwatchedEvery);
	}

	async #now(): Promise<void> {
		if (this.#sending) {
			this.#again = true;
			return;
		}
		clearTimeout(this.#timer);
		this.#timer = undefined;
		this.#sending = true;
		this.#again = false;
		const { report } = this;
		try {
			const { seq } = await this.#send(report);
			this.#told = matter(report.snapshot);
			this.#deltas = this.#deltas.filter((delta) => delta.seq > seq);
		} catch {
			this.#again = false; // no worker, or one that was stopped before it answered: not at once
		} finally {
			this.#sending = false;
		}
		if (this.#again) void this.#now();
		else if (this.#deltas.length > 0 || matter(this.#snapshot) !== this.#told) this.#later();
	}
}

/** What the worker is told at once, even if nobody looks: it changes the badge text, or ends the page. */
function matter(snapshot: Snapshot): string {
	const { phase, pause, trouble, nat, connected } = snapshot;
	return JSON.stringify([phase, pause, trouble, nat, connected]);
}
