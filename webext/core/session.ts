import type { Config } from "./config.ts";
import { check, decodeAnswerResponse, encodeAnswerRequest, encodeDescription, type PollResponse } from "./messages.ts";
import { gather, newPeer, Obstacle } from "./peer.ts";
import type { Carrier, Peer, Ports } from "./ports.ts";
import { Pump, type PumpContext } from "./pump.ts";
import { checkRelay, withClient } from "./relay.ts";
import { markEdges, readRemote, remoteAddress } from "./sdp.ts";
import type { SessionState, Trouble } from "./types.ts";
import { onAbort, within } from "./wait.ts";

/** How long the browser may take for an answer, and for gathering, ms: three quarters of what the client has (spec section 3.5). */
const GATHER = 3750;

/** The delivery of an answer, ms: what takes longer is of no use to anyone, for the client waits 5 s in all (spec section 2.3). */
const DELIVER = 15e3;

/** The wait for the client's channel once its answer is delivered, ms (spec section 3.5). */
const OPEN = 20e3;

/** The wait for the relay, ms: as long as a client bears silence (spec section 7.5). WebTransport has its part of it. */
const RELAY = 20e3;
const WEB_TRANSPORT = 5e3;

/** WebSocket.OPEN */
const IS_OPEN = 1;

/** What sessions share, and whom they tell. */
export interface SessionContext extends PumpContext {
	config: Config;
	ports: Ports;
	/** The session is in another state. */
	changed(state: SessionState): void;
}

/** One client, from its match to its end. */
export class Session {
	/** The last one is the outcome. */
	state: SessionState = "answering";
	/** What of our own stood in its way. */
	trouble: Trouble | null = null;
	readonly #life = new AbortController();

	constructor(
		private readonly context: SessionContext,
		private readonly sid: string,
		readonly match: PollResponse,
	) {}

	/** Lives the session. Resolves when nothing is left of it; the state is then its outcome. */
	async run(): Promise<void> {
		const { config, ports } = this.context;
		const life = this.#life.signal;
		let outcome: SessionState = "refused"; // if the next step fails
		try {
			const offer = readRemote(this.match.offer, "offer", config.local);
			const relay = withClient(this.#relay(), remoteAddress(offer.sdp));
			const peer = this.#peer();
			const opened = this.#opening(peer);
			await this.#answer(peer, offer);
			outcome = "unopened";
			// The relay is dialled while ICE still looks for a path, as proxy/snowproxy does: most clients do come.
			const early = this.#dial(relay).catch(() => null);
			const pump = await within(ports.clock, life, OPEN, () => opened);
			outcome = "unrelayed";
			this.#become("connecting");
			const carrier = early.then((c) => (c?.readyState === IS_OPEN ? c : this.#dial(relay)));
			carrier.catch(() => {
				this.trouble = "relay-unreachable";
			});
			const open = await Promise.race([carrier, pump.over]);
			if (open) {
				outcome = "served";
				this.#become("serving");
				pump.open(open);
				await pump.over;
			}
		} catch (error) {
			if (error instanceof Obstacle) this.trouble = error.message;
		}
		this.close();
		this.#become(outcome);
	}

	/** Ends it. */
	close(): void {
		this.#life.abort();
	}

	#become(state: SessionState): void {
		this.state = state;
		this.context.changed(state);
	}

	/** The relay that the broker names, if we accept it, else our own. */
	#relay(): URL {
		const { relayPattern, relayURL, local } = this.context.config;
		if (!this.match.relayURL) return new URL(relayURL);
		return checkRelay(this.match.relayURL, { pattern: relayPattern, allowPrivate: local, allowPlain: local });
	}

	/** A connection that ends with the session, and the session with it. */
	#peer(): Peer {
		const peer = newPeer(this.context.ports, this.context.config.stunServers, this.#life.signal);
		peer.onconnectionstatechange = () => {
			if (peer.connectionState === "failed") this.close();
		};
		return peer;
	}

	/** Answers offer, and returns when the client has the answer. */
	async #answer(peer: Peer, offer: { type: "offer" | "answer"; sdp: string }): Promise<void> {
		const { config, ports } = this.context;
		const life = this.#life.signal;
		await within(ports.clock, life, GATHER, () => peer.setRemoteDescription(offer).then(() => peer.setLocalDescription()));
		const sdp = markEdges(await gather(ports, life, peer, GATHER, config.local));
		const request = encodeAnswerRequest(this.sid, encodeDescription({ type: "answer", sdp }));
		const url = new URL("answer", config.brokerURL).href;
		const reply = await within(ports.clock, life, DELIVER, (signal) => ports.post(url, request, signal));
		check(decodeAnswerResponse(reply)); // else the client is gone
	}

	/** Connects to the relay; the carrier ends with the session. An https: relay is tried by WebTransport, then by WebSocket. */
	async #dial(url: string): Promise<Carrier> {
		const { ports } = this.context;
		const life = this.#life.signal;
		const plain = () => within(ports.clock, life, RELAY, (signal) => ports.webSocket(url.replace(/^https:/, "wss:"), signal));
		const dial = url.startsWith("https:") && ports.webTransport;
		const carrier = await (dial ? within(ports.clock, life, WEB_TRANSPORT, (signal) => dial(url, signal)).catch(plain) : plain());
		onAbort(life, () => carrier.close());
		if (life.aborted) carrier.close();
		return carrier;
	}

	/** Resolves with a pump for the one channel that a client opens, once it is open. Others are closed. */
	#opening(peer: Peer): Promise<Pump> {
		return new Promise((resolve) => {
			peer.ondatachannel = ({ channel }) => {
				peer.ondatachannel = (other) => other.channel.close();
				const pump = new Pump(this.context, channel);
				onAbort(this.#life.signal, () => pump.end());
				if (channel.readyState === "open") resolve(pump);
				else channel.onopen = () => resolve(pump);
			};
		});
	}
}
