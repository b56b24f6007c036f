import type { Ports } from "../core/ports.ts";
import { newClock } from "./clock.ts";
import { conditions } from "./conditions.ts";
import { post } from "./http.ts";
import { newPeer } from "./rtc.ts";
import { webSocket } from "./websocket.ts";
import { webTransport } from "./webtransport.ts";

/** All ports of a page that has WebRTC, with options of WebTransport. */
export const browserPorts = (options?: WebTransportOptions): Ports => ({
	clock: newClock(),
	random: (n) => crypto.getRandomValues(new Uint8Array(n)),
	post,
	peer: newPeer,
	webSocket,
	webTransport: webTransport(options),
	conditions,
});
