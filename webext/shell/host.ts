import { applyDelta, openLedger, totals } from "../core/ledger.ts";
import { normalise } from "../core/settings.ts";
import type { Backend, Capabilities, Delta, Intent, Settings, Snapshot, View } from "../core/types.ts";
import { asleep, type Runner } from "./runner.ts";
import { turns } from "./turns.ts";

/** What lasts. */
export interface Stored {
	settings?: unknown;
	ledger?: unknown;
}

/** Where it is. */
export interface Store {
	load(): Promise<Stored>;
	/** Replaces the members that are given. */
	save(some: Stored): Promise<void>;
}

/**
 * The middle of each build: it alone writes what lasts, has the volunteer's settings and the counters, shows them to whoever
 * looks, and has the engine do what the settings say. It may end and be made anew at any time: all that must last is stored.
 */
export class Host implements Backend {
	readonly #runner: Runner;
	readonly #store: Store;
	readonly #capabilities: Capabilities;
	readonly #changed: (view: View) => void;
	readonly #shows = new Set<(view: View) => void>();
	readonly #loaded: Promise<void>;
	#settings = normalise(undefined);
	#ledger = openLedger(undefined, Date.now());
	#snapshot: Snapshot = asleep;
	/** Writes, one at a time. */
	readonly #inTurn = turns();

	/** changed is told each change, as those who watch, but does not count as one who looks. */
	constructor(runner: Runner, store: Store, capabilities: Capabilities, changed: (view: View) => void = () => {}) {
		this.#runner = runner;
		this.#store = store;
		this.#capabilities = capabilities;
		this.#changed = changed;
		this.#loaded = this.#load();
	}

	/** Has the engine be what the settings say, whatever happened before. */
	async resume(): Promise<void> {
		await this.#loaded;
		if (this.#settings.enabled) await this.#runner.apply(this.#settings, totals(this.#ledger, Date.now()).month.bytes);
		this.#show();
	}

	/** Takes what the engine tells, and resolves when it is stored. A delta that comes again changes nothing. */
	async report(snapshot: Snapshot, deltas: readonly Delta[]): Promise<void> {
		await this.#loaded;
		this.#snapshot = snapshot;
		if (deltas.length) await this.#inTurn(() => this.#count(deltas));
		this.#show();
	}

	watch(show: (view: View) => void): () => void {
		let looks = true;
		// What is shown first should not say that the engine is off only because it has not been asked yet.
		void Promise.allSettled([this.#loaded, this.#runner.watch(true)]).then(() => {
			if (!looks) return;
			this.#shows.add(show);
			show(this.#view());
		});
		return () => {
			looks = false;
			this.#shows.delete(show);
			// Should it not hear this, it tells more than anybody needs; the next watch sets it right.
			if (!this.#shows.size) this.#runner.watch(false).catch(() => {});
		};
	}

	async send(intent: Intent): Promise<void> {
		await this.#loaded;
		switch (intent.do) {
			case "enable":
				return this.#set({ enabled: true });
			case "disable":
				await this.#set({ enabled: false });
				return this.#runner.stop(intent.drain);
			case "set":
				return this.#set({ ...intent.settings, enabled: this.#settings.enabled });
			case "retry":
				return this.#runner.retry();
		}
	}

	async #load(): Promise<void> {
		const { settings, ledger } = await this.#store.load();
		this.#settings = normalise(settings);
		this.#ledger = openLedger(ledger, Date.now());
	}

	/** Adds to the counters as they are stored: other pages of a badge may have added to them, too. */
	async #count(deltas: readonly Delta[]): Promise<void> {
		const { ledger } = await this.#store.load();
		this.#ledger = deltas.reduce(applyDelta, openLedger(ledger, Date.now()));
		await this.#store.save({ ledger: this.#ledger });
	}

	async #set(some: Partial<Settings>): Promise<void> {
		this.#settings = normalise({ ...this.#settings, ...some });
		await this.#inTurn(() => this.#store.save({ settings: this.#settings }));
		await this.resume();
	}

	#view(): View {
		return {
			settings: this.#settings,
			snapshot: this.#snapshot,
			totals: totals(this.#ledger, Date.now()),
			capabilities: this.#capabilities,
		};
	}

	#show(): void {
		const view = this.#view();
		this.#changed(view);
		for (const show of this.#shows) show(view);
	}
}
