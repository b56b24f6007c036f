// The badge: what others embed in their pages. It does nothing before the visitor has switched it on; where the browser keeps
// that, it counts for later visits of the same embedding site, until it is switched off.
import type { Capabilities } from "../core/types.ts";
import { Host } from "../shell/host.ts";
import { mount } from "../ui/view.ts";
import { fetchWords, type Locale, type Messages } from "../ui/words.ts";
import { DebugLog } from "./log.ts";
import { readOptions } from "./options.ts";
import { BadgeRunner } from "./runner.ts";
import { loadScript } from "./script.ts";
import { openStore } from "./store.ts";

async function main(): Promise<void> {
	const options = readOptions(location.search);
	if (options.silent) document.body.dataset.silent = "";
	const log = options.debug ? new DebugLog(options.silent ? null : addLog()) : null;
	const store = openStore(window);
	const runner = new BadgeRunner(options.rateLimit, (snapshot, deltas) => {
		log?.note(snapshot, deltas);
		return host.report(snapshot, deltas);
	});
	const host: Host = new Host(runner, store, capabilities(store.lasts));
	const languages = options.lang ? [options.lang, ...navigator.languages] : navigator.languages;
	const words = await fetchWords(languages, loadMessages);
	mount(document.querySelector("main") as HTMLElement, host, words, { kind: "badge" });
	await host.resume();
}

/** Loads the messages of a locale, which build.mjs has made a script that hands them over. */
async function loadMessages(locale: Locale): Promise<Messages> {
	const { messages }: HTMLScriptElement & { messages?: Messages } = await loadScript(`words/${locale}.js`);
	if (!messages) throw new Error(`no messages in ${locale}`);
	return messages;
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
