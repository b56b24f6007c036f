// For tests: a browser, a broker, clients and relays in virtual time, without a sleep.

import type { Config } from "./config.ts";
import { decodeDescription, encodeDescription, NO_MATCH } from "./messages.ts";
import type { Carrier, Channel, Clock, Conditions, Dial, Peer, Ports } from "./ports.ts";
import { CHROMIUM, OFFER } from "./samples.ts";

/** Lets everything happen that needs no time. */
export async function settle(): Promise<void> {
	for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
}

export class FakeClock implements Clock {
	#now = Date.UTC(2026, 10, 27, 20);
	#timers: { at: number; what: () => void }[] = [];

	now(): number {
		return this.#now;
	}

	after(ms: number, what: () => void): () => void {
		const timer = { at: this.#now + ms, what };
		this.#timers.push(timer);
		return () => {
			this.#timers = this.#timers.filter((t) => t !== timer);
		};
	}

	soon(what: () => void): void {
		setImmediate(what);
	}

	/** The device's clock is set; timers go on as before. */
	set(now: number): void {
		for (const timer of this.#timers) timer.at += now - this.#now;
		this.#now = now;
	}

	/** Timers that wait. */
	get waiting(): number {
		return this.#timers.length;
	}

	/** Lets ms pass. */
	async pass(ms: number): Promise<void> {
		const end = this.#now + ms;
		for (await settle(); ; await settle()) {
			const next = this.#timers.reduce<{ at: number; what: () => void } | null>((a, b) => (a && a.at <= b.at ? a : b), null);
			if (!next || next.at > end) break;
			this.#now = Math.max(this.#now, next.at);
			this.#timers = this.#timers.filter((t) => t !== next);
			next.what();
		}
		this.#now = end;
	}
}

/** Our end of a data channel; what is sent goes into sent. */
export class FakeChannel implements Channel {
	readyState = "connecting";
	/** Grows with each message until a test empties it. */
	bufferedAmount = 0;
	/** Whether what is sent leaves at once. */
	drains = true;
	bufferedAmountLowThreshold = 0;
	binaryType = "blob";
	onopen: Channel["onopen"] = null;
	onmessage: Channel["onmessage"] = null;
	onclose: Channel["onclose"] = null;
	onbufferedamountlow: Channel["onbufferedamountlow"] = null;
	readonly sent: ArrayBuffer[] = [];

	constructor(readonly ordered = true) {}

	send(data: ArrayBuffer): void {
		if (this.readyState !== "open") throw new Error("InvalidStateError");
		this.sent.push(data);
		if (!this.drains) this.bufferedAmount += data.byteLength;
	}

	/** The browser has sent what was buffered. */
	drain(): void {
		this.bufferedAmount = 0;
		this.onbufferedamountlow?.({});
	}

	open(): void {
		this.readyState = "open";
		this.onopen?.({});
	}

	/** A message comes from the other end. */
	receive(data: unknown): void {
		this.onmessage?.({ data });
	}

	close(): void {
		if (this.readyState === "closed") return;
		this.readyState = "closed";
		setImmediate(() => this.onclose?.({}));
	}
}

/** Our end of a connection to a relay. */
export class FakeCarrier implements Carrier {
	readyState = 1;
	bufferedAmount = 0;
	drains = true;
	onmessage: Carrier["onmessage"] = null;
	onclose: Carrier["onclose"] = null;
	readonly sent: ArrayBuffer[] = [];

	constructor(readonly url: string) {}

	send(data: ArrayBuffer): void {
		this.sent.push(data);
		if (!this.drains) this.bufferedAmount += data.byteLength;
	}

	/** Returns what a carrier that can wait waits for. */
	receive(data: unknown): unknown {
		return this.onmessage?.({ data });
	}

	close(): void {
		if (this.readyState === 3) return;
		this.readyState = 3;
		setImmediate(() => this.onclose?.({}));
	}
}

export class FakePeer implements Peer {
	iceGatheringState = "new";
	connectionState = "new";
	localDescription: { sdp: string } | null = null;
	remote: { type: string; sdp: string } | null = null;
	onicecandidate: Peer["onicecandidate"] = null;
	onicegatheringstatechange: Peer["onicegatheringstatechange"] = null;
	onconnectionstatechange: Peer["onconnectionstatechange"] = null;
	ondatachannel: Peer["ondatachannel"] = null;
	/** Made by us, for a probe. */
	channel: FakeChannel | null = null;

	constructor(private readonly world: World) {}

	createDataChannel(): FakeChannel {
		this.channel = new FakeChannel();
		return this.channel;
	}

	async setRemoteDescription(description: { type: "offer" | "answer"; sdp: string }): Promise<void> {
		if (description.sdp.includes("a=bad")) throw new Error("OperationError");
		this.remote = description;
		if (this.channel && this.world.reachable) setImmediate(() => this.channel?.open());
	}

	async setLocalDescription(): Promise<void> {
		this.localDescription = { sdp: this.world.description };
		this.iceGatheringState = this.world.gathers ? "complete" : "gathering";
	}

	/** What gathering has found so far, or in the end. */
	found(sdp: string, complete: boolean): void {
		this.localDescription = { sdp };
		if (complete) this.iceGatheringState = "complete";
		this.onicecandidate?.({});
		this.onicegatheringstatechange?.({});
	}

	/** The client's channel opens. */
	connect(channel = new FakeChannel()): FakeChannel {
		channel.readyState = "open";
		this.ondatachannel?.({ channel });
		return channel;
	}

	fail(): void {
		this.connectionState = "failed";
		this.onconnectionstatechange?.({});
	}

	close(): void {
		this.connectionState = "closed";
	}
}

/** A client that waits at the broker. */
export interface FakeClient {
	offer?: string;
	nat?: string;
	relayURL?: string;
}

export const offer = (sdp = OFFER): string => encodeDescription({ type: "offer", sdp });

export const config: Config = {
	version: "0",
	type: "webext",
	brokerURL: "https://broker.example/",
	probeURL: "https://probe.example/probe",
	relayPattern: "relay.example$",
	relayURL: "wss://relay.example/",
	stunServers: ["stun:stun.example:3478"],
	local: false,
};

/** What a browser is, and all that it can reach. */
export class World implements Ports {
	readonly clock = new FakeClock();
	readonly peers: FakePeer[] = [];
	readonly carriers: FakeCarrier[] = [];
	readonly dialled: string[] = [];
	/** Bodies of polls and answers, as objects. */
	readonly polls: Record<string, unknown>[] = [];
	readonly answers: Record<string, string>[] = [];
	probes = 0;
	/** Polls that we ended. */
	aborted = 0;
	/** Somebody is told of changed conditions. */
	watched = false;

	/** What is so, until a test changes it. */
	clients: FakeClient[] = [];
	nextPoll = 20_000;
	/** Replies in place of the broker's own. */
	reply: string | null = null;
	brokerThere = true;
	probeThere = true;
	/** The probe service gets through. */
	reachable = true;
	/** Clients take their answers. */
	taken = true;
	webRTC = true;
	/** Gathering is complete at once, with this description. */
	gathers = true;
	description = CHROMIUM;
	relayThere = true;
	webTransport: Dial | null = null;
	now: Conditions = { charging: true, metered: false, online: true };

	#changed: Parameters<Ports["conditions"]>[0] = () => {};
	#seed = 0;

	random(n: number): Uint8Array {
		return new Uint8Array(n).fill(++this.#seed);
	}

	peer(): FakePeer {
		if (!this.webRTC) throw new Error("ReferenceError");
		const peer = new FakePeer(this);
		this.peers.push(peer);
		return peer;
	}

	webSocket: Dial = (url) => {
		this.dialled.push(url);
		if (!this.relayThere) return Promise.reject(new Error("refused"));
		const carrier = new FakeCarrier(url);
		this.carriers.push(carrier);
		return Promise.resolve(carrier);
	};

	conditions(changed: (now: Conditions, network: boolean) => void): () => void {
		this.#changed = changed;
		this.watched = true;
		changed(this.now, false);
		return () => {
			this.watched = false;
			this.#changed = () => {};
		};
	}

	/** Conditions change. */
	become(now: Partial<Conditions>, network = false): void {
		this.now = { ...this.now, ...now };
		this.#changed(this.now, network);
	}

	post(url: string, body: string, signal: AbortSignal): Promise<string> {
		const message = JSON.parse(body);
		const text = (reply: unknown) => Promise.resolve(typeof reply === "string" ? reply : JSON.stringify(reply));
		if (url === config.probeURL) {
			this.probes++;
			if (!this.probeThere) return Promise.reject(new Error("HTTP status 500"));
			decodeDescription(message.Offer);
			return text({ Version: "1.3", Sid: "stub-sid", Answer: encodeDescription({ type: "answer", sdp: OFFER }) });
		}
		if (!this.brokerThere) return Promise.reject(new TypeError("Failed to fetch"));
		if (url === `${config.brokerURL}answer`) {
			this.answers.push(message);
			return text({ Status: this.taken ? "success" : "client gone" });
		}
		if (url !== `${config.brokerURL}proxy`) throw new Error(url);
		this.polls.push(message);
		if (this.reply !== null) return text(this.reply);
		const client = this.clients.shift();
		const { nextPoll: NextPoll } = this;
		if (client) {
			const { offer: Offer = offer(), nat: NAT = "unrestricted", relayURL: RelayURL = "" } = client;
			return text({ Status: "client match", Offer, NAT, NextPoll, RelayURL });
		}
		return new Promise((resolve, reject) => {
			const cancel = this.clock.after(10_000, () => {
				held = false;
				resolve(JSON.stringify({ Status: NO_MATCH, Offer: "", NAT: "", NextPoll, RelayURL: "" }));
			});
			let held = true;
			signal.addEventListener("abort", () => {
				cancel();
				if (held) this.aborted++;
				reject(new Error("AbortError"));
			});
		});
	}
}

/** A message of n bytes, each with this value. */
export const bytes = (n: number, value = 0): ArrayBuffer => new Uint8Array(n).fill(value).buffer;

/** All that was sent, as one. */
export const joined = (sent: ArrayBuffer[]): Buffer => Buffer.concat(sent.map((b) => Buffer.from(b)));
