import type { Settings, Snapshot } from "../core/types.ts";

/** An engine as the Host has it: in the same page or in another. */
export interface Runner {
	/** Has the engine run with these settings, from now on or on. used is what the month has cost so far, in bytes. */
	apply(settings: Settings, used: number): Promise<void>;
	/** Ends the engine; with drain, when the sessions have ended. */
	stop(drain: boolean): Promise<void>;
	/** Tests the network again and polls. */
	retry(): Promise<void>;
	/** Somebody looks, or nobody does any more. Before it resolves, the Host has been told the present. */
	watch(watched: boolean): Promise<void>;
}

/** The snapshot of an engine that does not run. */
export const asleep: Readonly<Snapshot> = {
	phase: "off",
	pause: null,
	trouble: null,
	nat: "unknown",
	connected: 0,
	rate: 0,
	lastPoll: 0,
};
