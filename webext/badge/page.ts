// The badge: what others embed in their pages. It does nothing before the visitor has switched it on; where the browser keeps
// that, it counts for later visits of the same embedding site, until it is switched off.

import type { Ports } from "../core/ports.ts";
import type { Capabilities, Settings } from "../core/types.ts";
import { LocalRunner, type Tell } from "../shell/engine.ts";
import { Host } from "../shell/host.ts";
import { mount } from "../ui/view.ts";
import { fetchWords } from "../ui/words.ts";
import { DebugLog } from "./log.ts";
import { readOptions } from "./options.ts";
import { openStore } from "./store.ts";
import { loadMessages } from "./words.ts";
import { inWorker, startWorker } from "./worker.ts";

async function main(): Promise<void> {
	const options = readOptions(location.search);
	if (options.silent) document.body.dataset.silent = "";
	const log = options.debug ? new DebugLog(options.silent ? null : addLog()) : null;
	const store = openStore(window);
	const host: Host = new Host(
		new BadgeRunner(options.rateLimit, (snapshot, deltas) => {
			log?.note(snapshot, deltas);
			return host.report(snapshot, deltas);
		}),
		store,
		capabilities(store.lasts),
	);
	const languages = options.lang ? [options.lang, ...navigator.languages] : navigator.languages;
	mount(document.querySelector("main") as HTMLElement, host, await fetchWords(languages, loadMessages), { kind: "badge" });
	await host.resume();
}

/** The engine, with timers and requests in a Worker where there can be one, and no faster than the embedding page allows. */
class BadgeRunner extends LocalRunner {
	readonly #rateLimit: number;

	constructor(rateLimit: number, tell: Tell) {
		super(tell, async (ports: Ports) => {
			const worker = await startWorker("timer-worker.js");
			return worker ? inWorker(ports, worker) : ports;
		});
		this.#rateLimit = rateLimit;
	}

	override apply(settings: Settings, used: number): Promise<void> {
		return super.apply({ ...settings, rateLimit: lower(settings.rateLimit, this.#rateLimit) }, used);
	}
}

/** The lower of two limits, of which 0 is none. */
function lower(a: number, b: number): number {
	return a && b ? Math.min(a, b) : a || b;
}

function capabilities(storage: boolean): Capabilities {
	return { battery: "getBattery" in navigator, metered: "connection" in navigator, background: false, storage };
}

function addLog(): Element {
	const log = document.createElement("pre");
	log.id = "log";
	document.body.append(log);
	return log;
}

void main();
