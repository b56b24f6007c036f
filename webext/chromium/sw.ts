// The service worker: decides and remembers, and is stopped by the browser whenever nothing happens. The engine is in the
// offscreen document, which lives on.
import { extensionHost } from "../shell/extension.ts";
import type { Host } from "../shell/host.ts";
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

	chrome.runtime.onMessage.addListener((report: Report, sender, acknowledge: (acknowledgement: Acknowledgement) => void) => {
		if (sender.id !== chrome.runtime.id || report.to !== "host" || !("deltas" in report)) return false;
		host.report(report.snapshot, report.deltas).then(
			() => {
				acknowledge({ seq: report.deltas.at(-1)?.seq ?? 0 });
				if (report.snapshot.phase === "off") page.rest().catch(() => {});
			},
			() => acknowledge({ seq: 0 }), // Not stored: it comes again.
		);
		return true;
	});
}
