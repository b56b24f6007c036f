// What the service worker and the offscreen document say to each other. Each message is answered.
import type { Delta, Settings, Snapshot } from "../core/types.ts";

/** From the worker. The answer is a Report. */
export type Command = { to: "engine" } & (
	| { do: "apply"; settings: Settings; used: number; watched: boolean } // run with these settings, from now on if it does already
	| { do: "stop"; drain: boolean }
	| { do: "retry" }
	| { do: "watch"; watched: boolean } // somebody looks: tell each change
);

/** From the offscreen document: the present, and every delta that has not been acknowledged. The answer is an Acknowledgement. */
export interface Report {
	to: "counters";
	snapshot: Snapshot;
	deltas: Delta[];
}

/** The deltas up to this sequence number are in storage. */
export interface Acknowledgement {
	seq: number;
}
