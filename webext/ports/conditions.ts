import type { Conditions, Ports } from "../core/ports.ts";

/** Battery Status API, which Chromium has and the types don't. */
interface Battery extends EventTarget {
	readonly charging: boolean;
}

/** Network Information API, likewise. */
interface Connection extends EventTarget {
	readonly saveData?: boolean;
	readonly type?: string;
}

/** What this browser tells of battery and network. */
export const conditions: Ports["conditions"] = (changed) => {
	const { connection, getBattery } = navigator as { connection?: Connection; getBattery?: () => Promise<Battery> };
	const listening = new AbortController(); // listeners take its signal from it
	let battery: Battery | null = null;
	const now = (): Conditions => ({
		charging: battery?.charging ?? null,
		metered: connection ? connection.saveData || connection.type === "cellular" : null,
		online: navigator.onLine,
	});
	const look = () => changed(now(), false);
	let type = connection?.type;
	const change = () => {
		const moved = type !== connection?.type; // most changes are of estimates of the network's speed
		type = connection?.type;
		changed(now(), moved);
	};
	connection?.addEventListener("change", change, listening);
	addEventListener("online", () => changed(now(), true), listening);
	addEventListener("offline", look, listening);
	getBattery
		?.call(navigator)
		.then((b) => {
			battery = b;
			b.addEventListener("chargingchange", look, listening);
			if (!listening.signal.aborted) look();
		})
		.catch(() => {});
	look();
	return () => listening.abort();
};
