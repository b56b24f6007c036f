import type { Delta, Totals } from "./types.ts";

// The counters beyond restarts. Everything here is pure: whoever owns the storage passes in what it holds and stores what it gets.

/** Days and engines that are remembered: a month and what it takes to see one end; restarts that may overlap. */
const DAYS = 40;
const ENGINES = 8;
const HOURS = 24;
const HOUR = 3600e3;

/** What is stored, as JSON. All lists are sorted and bounded. */
export interface Ledger {
	version: 1;
	/** When counting began, ms since 1970. */
	since: number;
	people: number;
	bytes: number;
	/** Days in local time as 20261127: [day, people, bytes]. */
	days: [number, number, number][];
	/** Hours since 1970: [hour, bytes]. */
	hours: [number, number][];
	/** The last seq that was added of each engine: [engine, seq], the latest engine last. */
	engines: [string, number][];
}

/** Reads what was stored. Anything that this program has not written starts again from zero. */
export function openLedger(stored: unknown, now: number): Ledger {
	const l = Object(stored) as Partial<Record<keyof Ledger, unknown>>;
	const good =
		l.version === 1 &&
		[l.since, l.people, l.bytes].every(isCount) &&
		isList(l.days, DAYS, [isCount, isCount, isCount]) &&
		isList(l.hours, HOURS, [isCount, isCount]) &&
		isList(l.engines, ENGINES, [isName, isCount]);
	return good ? (stored as Ledger) : { version: 1, since: now, people: 0, bytes: 0, days: [], hours: [], engines: [] };
}

/** Adds a delta, unless it has been added before or is none. Returns the ledger to store, the same if nothing was added. */
export function applyDelta(ledger: Ledger, delta: Delta): Ledger {
	const { engine, seq, people, up, down } = delta;
	const at = Math.floor(delta.at);
	const known = ledger.engines.find(([name]) => name === engine)?.[1] ?? 0;
	if (!isName(engine) || ![seq, at, people, up, down].every(isCount) || seq <= known) return ledger;
	const bytes = up + down;
	return {
		...ledger,
		people: ledger.people + people,
		bytes: ledger.bytes + bytes,
		days: add(ledger.days, [dayOf(at), people, bytes], DAYS),
		hours: add(ledger.hours, [Math.floor(at / HOUR), bytes], HOURS),
		engines: [...ledger.engines.filter(([name]) => name !== engine), [engine, seq] as [string, number]].slice(-ENGINES),
	};
}

/** The counters as shown. */
export function totals(ledger: Ledger, now: number): Totals {
	const today = dayOf(now);
	const since = (day: number) => {
		const sum = { people: 0, bytes: 0 };
		for (const [d, people, bytes] of ledger.days) {
			if (d < day || d > today) continue;
			sum.people += people;
			sum.bytes += bytes;
		}
		return sum;
	};
	const hour = Math.floor(now / HOUR);
	const hours = Array.from({ length: HOURS }, (_, i) => ledger.hours.find(([h]) => h === hour - HOURS + 1 + i)?.[1] ?? 0);
	return {
		today: since(today),
		week: since(dayOf(now, -6)),
		month: { bytes: since(today - (today % 100)).bytes },
		total: { people: ledger.people, bytes: ledger.bytes },
		since: ledger.since,
		hours,
	};
}

/** The local day of a time, or of some days later. */
function dayOf(at: number, later = 0): number {
	const d = new Date(at);
	d.setDate(d.getDate() + later);
	return d.getFullYear() * 10_000 + (d.getMonth() + 1) * 100 + d.getDate();
}

/** Adds the numbers of row to the row of list that begins like it, and keeps the last few rows. */
function add<Row extends number[]>(list: Row[], row: Row, most: number): Row[] {
	const [key = 0] = row;
	const old = list.find(([k]) => k === key);
	const sum = row.map((n, i) => (i ? n + (old?.[i] ?? 0) : n)) as Row;
	return [...list.filter(([k]) => k !== key), sum].sort(([a = 0], [b = 0]) => a - b).slice(-most);
}

const isCount = (n: unknown): boolean => Number.isSafeInteger(n) && (n as number) >= 0;
const isName = (s: unknown): boolean => typeof s === "string" && s.length < 100;

function isList(list: unknown, most: number, row: ((cell: unknown) => boolean)[]): boolean {
	const isRow = (r: unknown) => Array.isArray(r) && r.length === row.length && row.every((good, i) => good(r[i]));
	return Array.isArray(list) && list.length <= most && list.every(isRow);
}
