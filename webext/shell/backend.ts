import type { Backend, Intent, View } from "../core/types.ts";
import { api } from "./api.ts";
import { answerTo } from "./messages.ts";

/** The name of the connection over which a popup is shown views. */
export const viewPort = "view";

/** The permission to run without a window. */
const background: chrome.permissions.Permissions = { permissions: ["background"] };

/** How a popup asks for something. The answer is empty. */
export interface Request {
	to: "host";
	intent: Intent;
}

/** How long a popup waits before it connects again, in ms: no loop, should the background end each time it is woken. */
const reconnectAfter = 500;

/** What the popup of an extension is given: views over a connection, since each wakes a background that sleeps; requests as messages. */
export class RuntimeBackend implements Backend {
	watch(show: (view: View) => void): () => void {
		let port: chrome.runtime.Port | undefined;
		let timer: ReturnType<typeof setTimeout> | undefined;
		const connect = () => {
			port = api.runtime.connect({ name: viewPort });
			port.onMessage.addListener(show);
			// The background was stopped by the browser, as it may be at any time.
			port.onDisconnect.addListener(() => {
				timer = setTimeout(connect, reconnectAfter);
			});
		};
		connect();
		return () => {
			clearTimeout(timer);
			port?.disconnect();
		};
	}

	async send(intent: Intent): Promise<void> {
		if (intent.do === "set" && intent.settings.background === false) await api.permissions.remove(background);
		const request: Request = { to: "host", intent };
		await answerTo(api.runtime.sendMessage(request));
	}

	requestBackground(): Promise<boolean> {
		return api.permissions.request(background);
	}
}
