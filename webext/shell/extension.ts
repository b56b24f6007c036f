import type { Capabilities, View } from "../core/types.ts";
import { api } from "./api.ts";
import { type Request, viewPort } from "./backend.ts";
import { Host, type Store } from "./host.ts";
import { listen } from "./messages.ts";
import type { Runner } from "./runner.ts";

/** The alarm that brings back what the browser has stopped. */
const watchdog = "watchdog";

/**
 * Makes the Host of an extension and joins it to the browser: popups, alarms, storage, the text on the toolbar's button. Must be
 * called in the first task of the page, with all its listeners: the browser stops and starts such a page as it likes, and hands an
 * event only to listeners that are there at once. minutes is how often the watchdog looks.
 */
export function extensionHost(runner: Runner, capabilities: Capabilities, minutes: number): Host {
	const { alarms, permissions, runtime } = api;
	const signs = new Signs(minutes);
	const host = new Host(runner, storage, capabilities, (view) => signs.show(view));
	// If it fails, the watchdog tries again.
	const resume = () => void host.resume().catch(() => {});
	runtime.onConnect.addListener((port) => {
		if (port.name !== viewPort || port.sender?.id !== runtime.id) return;
		port.onDisconnect.addListener(host.watch((view) => port.postMessage(view)));
	});
	listen<Request>("host", ({ intent }) => host.send(intent).then(() => ({})));
	// The volunteer can take it back in the browser's own settings, too.
	permissions.onRemoved.addListener((removed) => {
		if (removed.permissions?.includes("background")) void host.send({ do: "set", settings: { background: false } });
	});
	alarms.onAlarm.addListener(resume);
	// The browser starts this page for an event only if somebody listens to it.
	runtime.onInstalled.addListener(resume);
	runtime.onStartup.addListener(resume);
	resume();
	return host;
}

const storage: Store = {
	load: () => api.storage.local.get(["settings", "ledger"]),
	save: (some) => api.storage.local.set(some),
};

/** What the browser shows and does for us: the button on the toolbar and the watchdog. */
class Signs {
	readonly #minutes: number;
	#shown = "";

	constructor(minutes: number) {
		this.#minutes = minutes;
	}

	/** Sets the button's icon and text, which is how many people are connected, and the watchdog while there is something to watch. */
	show({ settings: { enabled }, snapshot: { connected } }: View): void {
		const now = `${enabled} ${connected}`;
		if (now === this.#shown) return;
		this.#shown = now;
		const button = api.action ?? api.browserAction;
		void button.setBadgeText({ text: connected ? `${connected}` : "" });
		const kind = connected ? "helping-" : enabled ? "" : "off-";
		void button.setIcon({ path: { 16: `icons/${kind}16.png`, 32: `icons/${kind}32.png` } });
		void (enabled ? this.#watch() : api.alarms.clear(watchdog));
	}

	/** Made again, an alarm would begin its time anew. */
	async #watch(): Promise<void> {
		if (!(await api.alarms.get(watchdog))) await api.alarms.create(watchdog, { periodInMinutes: this.#minutes });
	}
}
