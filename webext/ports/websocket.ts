import type { Carrier } from "../core/ports.ts";
import { onAbort } from "../core/wait.ts";

/** Opens a WebSocket. */
export function webSocket(url: string, signal: AbortSignal): Promise<Carrier> {
	return new Promise((resolve, reject) => {
		const ws = new WebSocket(url);
		ws.binaryType = "arraybuffer";
		ws.onopen = () => resolve(ws);
		ws.onclose = reject;
		onAbort(signal, () => {
			if (ws.readyState !== ws.OPEN) ws.close();
		});
	});
}
