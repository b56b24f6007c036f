import type { NAT } from "./types.ts";

/** Bounds of what a broker can make of our polling, ms. The floor is the deployed proxy's (spec section 3.3), the ceiling ours. */
const MIN_PAUSE = 1000;
const MAX_PAUSE = 24 * 3600e3;

/** The pause when the broker states none, ms: that of deployed browsers, half of it for a network that can help everybody (3.3). */
const OWN_PAUSE = 60e3;

/** Where the pause begins after a poll that failed, and where its doubling ends: an outage must not end in a storm of polls. */
const FIRST_RETRY = 10e3;
const LAST_RETRY = 60e3;

/**
 * Deployed browsers add 100 s for each connection that failed, up to 6 h, because a network to which nobody can connect costs every
 * client it is given some ten seconds (3.3). Strangers can make connections fail, so that two are forgiven, and one that works
 * pays for all.
 */
const PENALTY = 100e3;
const MAX_PENALTY = 6 * 3600e3;
const FORGIVEN = 2;

/** Jitter, a tenth of the pause and at most 10 s, spreads the polls of those who were cut off together. It only ever adds. */
const JITTER_PART = 0.1;
const MAX_JITTER = 10e3;

/** Says when to poll next. All pauses are in ms. */
export class Schedule {
	/** Polls without an answer since the last that had one. */
	failures = 0;
	/** Connections in a row that did not open. */
	#unopened = 0;

	/** The pause after a poll that the broker answered, asking for nextPoll; 0 or less means that it did not ask. */
	answered(nextPoll: number, nat: NAT): number {
		this.failures = 0;
		const own = nat === "unrestricted" ? OWN_PAUSE / 2 : OWN_PAUSE;
		const pause = nextPoll > 0 ? Math.min(Math.max(nextPoll, MIN_PAUSE), MAX_PAUSE) : own;
		return pause + Math.min(PENALTY * Math.max(this.#unopened - FORGIVEN, 0), MAX_PENALTY);
	}

	/** The pause after a poll without an answer. */
	failed(): number {
		return Math.min(FIRST_RETRY * 2 ** this.failures++, LAST_RETRY);
	}

	/** Takes note of a connection that opened, or did not although it was answered. */
	connection(opened: boolean): void {
		this.#unopened = opened ? 0 : this.#unopened + 1;
	}

	/** Forgets everything: the volunteer, or a new network, asks for another try. */
	reset(): void {
		this.failures = this.#unopened = 0;
	}
}

/** Lengthens pause a little; chance is a random number below 1. */
export const spread = (pause: number, chance: number): number =>
	pause + Math.round(Math.min(pause * JITTER_PART, MAX_JITTER) * chance);
