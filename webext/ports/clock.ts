import type { Clock } from "../core/ports.ts";

/** The longest that setTimeout takes, ms; with more it does not wait at all. */
const LONGEST = 2 ** 31 - 1;

/** The time and timers of this page. */
export function newClock(): Clock {
	const waiting: (() => void)[] = [];
	const { port1, port2 } = new MessageChannel();
	port1.onmessage = () => waiting.shift()?.();
	return {
		now: Date.now,
		after(ms, what) {
			const id = setTimeout(what, Math.min(ms, LONGEST));
			return () => clearTimeout(id);
		},
		// A message and not a timer: timers are delayed by 4 ms and more, and in hidden pages by a second.
		soon(what) {
			waiting.push(what);
			port2.postMessage(0);
		},
	};
}
