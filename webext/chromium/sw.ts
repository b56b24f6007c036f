// The service worker: decides and remembers, and is stopped by the browser whenever nothing happens. The engine is in the
// offscreen document, which lives on.
import { extensionHost } from "../shell/extension.ts";
import type { Host } from "../shell/host.ts";
import { listen } from "../shell/messages.ts";
import type { Acknowledgement, Report } from "./link.ts";
import { OffscreenPage } from "./page.ts";

/**
 * How often the watchdog looks whether the offscreen document answers, in minutes. An alarm every half minute would never let the
 * worker sleep, which is stopped after as much time without an event.
 */
const watchdogMinutes = 2;

/** Called in the first task of the worker. */
export function serviceWorker(): void {
	const page = new OffscreenPage((report) => host.report(report.snapshot, report.deltas));
	const host: Host = extensionHost(page, { battery: true, metered: true, background: true, storage: true }, watchdogMinutes);

	listen<Report>("counters", async ({ snapshot, deltas }): Promise<Acknowledgement> => {
		await host.report(snapshot, deltas);
		if (snapshot.phase === "off") page.rest().catch(() => {});
		return { seq: deltas.at(-1)?.seq ?? 0 };
	});
}
