import type { Config } from "./config.ts";
import { CLIENT_MATCH, decodeAnswerRequest, encodeDescription, encodePollResponse } from "./messages.ts";
import { gather, newPeer } from "./peer.ts";
import type { Ports } from "./ports.ts";
import { readRemote } from "./sdp.ts";
import type { NAT } from "./types.ts";
import { within } from "./wait.ts";

/** Limits of a probe, ms: as long as the service gathers; the wait for the channel (spec section 9.3); and all of it. */
const GATHER = 10e3;
const OPEN = 20e3;
const WHOLE = 60e3;

/** How long a result holds, ms (spec section 9.4), and how long after a probe that said nothing the next is made. */
const HOLDS = 24 * 3600e3;
const RETRY = 600e3;

/** So many clients in a row who stated "restricted" and did not get through show that this network is restricted (9.4). */
const UNREACHED = 3;

/** What is known of the network's NAT (spec section 9.4). */
export class NATState {
	kind: NAT = "unknown";
	/** There has been a probe of this network. */
	probed = false;
	#due = 0;
	#unreached = 0;

	/** Whether a probe is due. */
	due(now: number): boolean {
		return now >= this.#due;
	}

	/** Takes note of a probe's result; null is an error, which says nothing about the network. */
	found(kind: NAT | null, now: number): void {
		this.probed = true;
		this.kind = kind ?? this.kind;
		this.#due = now + (kind ? HOLDS : RETRY);
		this.#unreached = 0;
	}

	/** The network may be another. */
	moved(): void {
		this.kind = "unknown";
		this.probed = false;
		this.#due = 0;
	}

	/** Takes note of an answer after which a client with this NAT did or did not get through. */
	connection(opened: boolean, client: string): void {
		if (opened) this.#unreached = 0;
		else if (client === "restricted" && ++this.#unreached >= UNREACHED) this.kind = "restricted";
	}
}

/**
 * Offers a connection to the probe service, which answers from behind a restricted network: if it opens ours is unrestricted,
 * if it was answered and does not open ours is restricted. Rejects when nothing was found out.
 */
export function probe(config: Config, ports: Ports, life: AbortSignal): Promise<NAT> {
	const { clock } = ports;
	return within(clock, life, WHOLE, async (signal) => {
		const peer = newPeer(ports, config.stunServers, signal);
		const channel = peer.createDataChannel("test"); // its label (spec section 9.3)
		const known = new Promise<NAT>((resolve) => {
			channel.onopen = () => resolve("unrestricted");
			peer.onconnectionstatechange = () => peer.connectionState === "failed" && resolve("restricted");
		});
		await peer.setLocalDescription();
		const sdp = await gather(ports, signal, peer, GATHER, config.local);
		const offer = encodeDescription({ type: "offer", sdp });
		const request = encodePollResponse({ Status: CLIENT_MATCH, Offer: offer, NAT: "", NextPoll: 0, RelayURL: "" });
		const { answer } = decodeAnswerRequest(await ports.post(config.probeURL, request, signal));
		await peer.setRemoteDescription(readRemote(answer, "answer", config.local));
		return await within(clock, signal, OPEN, () => known, "restricted");
	});
}
