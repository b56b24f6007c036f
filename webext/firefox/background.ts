// The background page of Firefox: the engine is here, beside settings, counters and popups. As an event page it would be stopped
// 30 s after the last event of an extension interface, whatever its connections do; it therefore calls one in time (Stay). With
// Manifest V2 the same page is persistent, and all this does no harm.
import { api } from "../shell/api.ts";
import { isTestBuild } from "../shell/config.ts";
import { LocalRunner } from "../shell/engine.ts";
import { extensionHost } from "../shell/extension.ts";
import type { Host } from "../shell/host.ts";
import { Stay } from "./stay.ts";

/** How often the watchdog looks, in minutes: the shortest that there is. A page that was stopped nevertheless is back after that. */
const watchdogMinutes = 1;

/** Called in the first task of the page. */
export function backgroundPage(): void {
	const stay = new Stay();
	const runner = new LocalRunner((snapshot, deltas) => {
		stay.set(snapshot.phase !== "off");
		return host.report(snapshot, deltas);
	});
	const host: Host = extensionHost(runner, { battery: false, metered: false, background: false, storage: true }, watchdogMinutes);

	// Tests cannot navigate to a page of an extension in Firefox.
	if (isTestBuild())
		for (const event of [api.runtime.onInstalled, api.runtime.onStartup])
			event.addListener(() => void api.tabs.create({ url: "popup.html" }));
}
