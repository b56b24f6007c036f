// Made-up views, for the gallery and for tests.

import type { Settings, Snapshot, Totals, View } from "../core/types.ts";

const settings: Settings = {
	enabled: true,
	maxClients: 2,
	rateLimit: 0,
	monthlyBudget: 0,
	onlyCharging: false,
	onlyUnmetered: true,
	background: false,
};

const snapshot: Snapshot = {
	phase: "polling",
	pause: null,
	trouble: null,
	nat: "unrestricted",
	connected: 0,
	rate: 0,
	lastPoll: Date.UTC(2026, 10, 27, 12),
};

const nothing: Totals = {
	today: { people: 0, bytes: 0 },
	week: { people: 0, bytes: 0 },
	month: { bytes: 0 },
	total: { people: 0, bytes: 0 },
	since: Date.UTC(2026, 10, 27),
	hours: Array.from({ length: 24 }, () => 0),
};

const megabytes = [4, 0, 0, 2, 9, 31, 58, 44, 20, 12, 0, 6, 35, 80, 122, 96, 70, 41, 18, 25, 60, 110, 141, 64];

const much: Totals = {
	today: { people: 12, bytes: 384e6 },
	week: { people: 86, bytes: 6.21e9 },
	month: { bytes: 21.4e9 },
	total: { people: 1304, bytes: 118e9 },
	since: Date.UTC(2026, 2, 1),
	hours: megabytes.map((n) => n * 1e6),
};

/** A view of a browser that can do everything. */
function sample(phase: Partial<Snapshot>, totals: Totals, chosen: Partial<Settings> = {}): View {
	return {
		settings: { ...settings, ...chosen },
		snapshot: { ...snapshot, ...phase },
		totals,
		capabilities: { battery: true, metered: true, background: true, storage: true },
	};
}

/** One view for each state that looks different. */
export const samples = {
	off: sample({ phase: "off", nat: "unknown" }, nothing, { enabled: false }),
	starting: sample({ phase: "starting", nat: "unknown" }, nothing),
	ready: sample({ trouble: "nobody-yet" }, much),
	helping: sample({ connected: 3, rate: 412e3 }, much, { maxClients: 5 }),
	full: sample({ phase: "full", connected: 2, rate: 1.3e6 }, much),
	restricted: sample({ nat: "restricted", trouble: "restricted" }, nothing),
	error: sample({ trouble: "broker-unreachable", nat: "unknown" }, much),
	draining: sample({ phase: "draining", connected: 1, rate: 56e3 }, much, { enabled: false }),
	paused: sample({ phase: "paused", pause: "battery" }, much, { onlyCharging: true }),
	budget: sample({ phase: "paused", pause: "budget" }, much, { monthlyBudget: 20e9 }),
} as const satisfies Record<string, View>;

/** The name of a sample. */
export type Sample = keyof typeof samples;
