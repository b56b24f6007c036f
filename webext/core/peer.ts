import type { Peer, Ports } from "./ports.ts";
import { hasCandidates, hasReflexive, stripLocal } from "./sdp.ts";
import type { Trouble } from "./types.ts";
import { onAbort, within } from "./wait.ts";

/** How long after the first STUN server others may still answer, ms, as the Go programs wait (spec appendix F). */
const SETTLE = 200;

/** Something of our own that stands in every client's way. */
export class Obstacle extends Error {
	declare message: Trouble;
}

/** Makes a connection, which lives until signal is aborted. */
export function newPeer(ports: Ports, stunServers: string[], signal: AbortSignal): Peer {
	let peer: Peer;
	try {
		peer = ports.peer(stunServers);
	} catch {
		throw new Obstacle("no-webrtc");
	}
	onAbort(signal, () => peer.close());
	return peer;
}

/**
 * Waits until peer has found its addresses, or has found some and limit ms are over, and returns what may leave of its
 * description. A client waits for it: one answer of a STUN server is enough.
 */
export async function gather({ clock }: Ports, life: AbortSignal, peer: Peer, limit: number, local: boolean): Promise<string> {
	const text = () => peer.localDescription?.sdp ?? "";
	const found = new Promise<boolean>((resolve) => {
		let settling = false;
		const look = () => {
			if (peer.iceGatheringState === "complete") resolve(true);
			else if (!settling && hasReflexive(text())) {
				settling = true;
				clock.after(SETTLE, () => resolve(true));
			}
		};
		peer.onicecandidate = peer.onicegatheringstatechange = look;
		look();
	});
	await within(clock, life, limit, () => found, false);
	const description = stripLocal(text(), local);
	if (!hasCandidates(description)) throw new Obstacle("no-candidates");
	return description;
}
