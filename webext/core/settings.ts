import type { Settings } from "./types.ts";

/** More people than this at once would be felt by the volunteer. */
const MAX_CLIENTS = 5;

/** Bytes a second. A limit below this would serve nobody: a client's first page would take minutes. */
const MIN_RATE = 10_000;

/** What holds until the volunteer chooses: off, and no burden. */
export const defaults = (): Settings => ({
	enabled: false,
	maxClients: 2,
	rateLimit: 0,
	monthlyBudget: 0,
	onlyCharging: false,
	onlyUnmetered: false,
	background: false,
});

/** Makes settings of anything: what is missing, unknown or of another kind than it should be is the default's, numbers are bounded. */
export function normalise(stored: unknown): Settings {
	const settings = defaults();
	const from = Object(stored) as Record<string, unknown>;
	for (const key of Object.keys(settings) as (keyof Settings)[]) {
		const value = Object.hasOwn(from, key) ? from[key] : undefined;
		if (typeof value !== typeof settings[key] || Number.isNaN(value)) continue;
		const most = key === "maxClients" ? MAX_CLIENTS : Number.MAX_SAFE_INTEGER;
		const bounded = typeof value === "number" ? Math.min(Math.max(Math.trunc(value), 0), most) : value;
		Object.assign(settings, { [key]: bounded });
	}
	settings.maxClients ||= 1;
	settings.rateLimit &&= Math.max(settings.rateLimit, MIN_RATE);
	return settings;
}
