// What core/ is given by whoever runs it: the browser, or a test. Peer, Channel and Carrier are the parts of the W3C interfaces
// RTCPeerConnection, RTCDataChannel and WebSocket that core/ uses, so that a browser's own objects fit as they are.

/** An event handler attribute. The method makes parameters bivariant, as the browser's own declarations need. */
type Handler<E> = { handle(event: E): unknown }["handle"] | null;

export interface Clock {
	/** ms since 1970. */
	now(): number;
	/** Calls what once, after ms, unless the function it returns is called before. */
	after(ms: number, what: () => void): () => void;
	/** Calls what in a task of its own, behind the events that already wait. */
	soon(what: () => void): void;
}

/** One end of a data channel. */
export interface Channel {
	readonly ordered: boolean;
	readonly readyState: string;
	readonly bufferedAmount: number;
	bufferedAmountLowThreshold: number;
	binaryType: string;
	onopen: Handler<unknown>;
	onmessage: Handler<{ data: unknown }>;
	onclose: Handler<unknown>;
	onbufferedamountlow: Handler<unknown>;
	send(data: ArrayBuffer): void;
	close(): void;
}

/** One WebRTC connection. */
export interface Peer {
	readonly iceGatheringState: string;
	readonly connectionState: string;
	readonly localDescription: { readonly sdp: string } | null;
	onicecandidate: Handler<unknown>;
	onicegatheringstatechange: Handler<unknown>;
	onconnectionstatechange: Handler<unknown>;
	ondatachannel: Handler<{ channel: Channel }>;
	createDataChannel(label: string): Channel;
	setRemoteDescription(description: { type: "offer" | "answer"; sdp: string }): Promise<void>;
	/** Makes an offer, or an answer to the offer that is set, and begins to gather. */
	setLocalDescription(): Promise<void>;
	close(): void;
}

/** An open connection to a relay. What is sent before close still leaves. */
export interface Carrier {
	/** WebSocket's: 1 is open. */
	readonly readyState: number;
	readonly bufferedAmount: number;
	/** Returns a promise if there is no room for another message; a carrier that can wait for it does. */
	onmessage: Handler<{ data: unknown }>;
	onclose: Handler<unknown>;
	send(data: ArrayBuffer): void;
	close(): void;
}

/** Opens a connection to the relay at url. Once signal is aborted nothing is left of one that is not open yet. */
export type Dial = (url: string, signal: AbortSignal) => Promise<Carrier>;

/** What the browser tells of the device; null where it does not. */
export interface Conditions {
	charging: boolean | null;
	metered: boolean | null;
	online: boolean;
}

export interface Ports {
	clock: Clock;
	/** n bytes from a cryptographic source. */
	random(n: number): Uint8Array;
	/** Posts body as text/plain. Rejects unless the status is 200 and the response at most MAX_BODY (messages.ts) bytes long. */
	post(url: string, body: string, signal: AbortSignal): Promise<string>;
	/** Makes a connection that asks these "stun:host:port" for its address. Throws where WebRTC is missing or switched off. */
	peer(stunServers: string[]): Peer;
	webSocket: Dial;
	/** null where the browser has none. */
	webTransport: Dial | null;
	/**
	 * Calls changed with the present conditions, now or soon, and whenever they change; network says that the device may have
	 * moved to another network. Until the function it returns is called.
	 */
	conditions(changed: (now: Conditions, network: boolean) => void): () => void;
}
