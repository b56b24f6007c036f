import type { Carrier, Dial } from "../core/ports.ts";
import { onAbort } from "../core/wait.ts";

/** Each frame is its length in 4 bytes, big endian, not 0, and so much payload: what would be one message of a WebSocket. */
const HEAD = 4;
const MAX_FRAME = 65_536;

/** How long after the end of our half of the stream the relay may still read it, ms. */
const LINGER = 1000;

const CONNECTING = 0;
const OPEN = 1;
const CLOSED = 3;

/** Accepts the certificates with these SHA-256 in base64 without any authority's word: for tests only. */
export const accepting = (hashes: string[]): WebTransportOptions => ({
	serverCertificateHashes: hashes.map((hash) => ({
		algorithm: "sha-256",
		value: Uint8Array.from(atob(hash), (c) => c.charCodeAt(0)),
	})),
});

/** Dials by WebTransport, with options; null where the browser has none. */
export function webTransport(options?: WebTransportOptions): Dial | null {
	if (typeof WebTransport === "undefined") return null;
	return async (url, signal) => {
		const transport = new WebTransport(url, options);
		const carrier = new Frames(transport);
		onAbort(signal, () => {
			if (carrier.readyState !== OPEN) transport.close();
		});
		transport.closed.catch(() => {}).then(() => carrier.end());
		await transport.ready;
		carrier.open(await transport.createBidirectionalStream());
		return carrier;
	};
}

/** One bidirectional stream, cut in frames. */
class Frames implements Carrier {
	readyState = CONNECTING;
	bufferedAmount = 0;
	onmessage: Carrier["onmessage"] = null;
	onclose: Carrier["onclose"] = null;
	#writer: WritableStreamDefaultWriter<Uint8Array> | null = null;

	constructor(private readonly transport: WebTransport) {}

	open({ readable, writable }: WebTransportBidirectionalStream): void {
		this.readyState = OPEN;
		this.#writer = writable.getWriter();
		this.#read(readable.getReader())
			.catch(() => {})
			.then(() => this.close());
	}

	send(data: ArrayBuffer): void {
		for (let at = 0; at < data.byteLength; at += MAX_FRAME) {
			const part = new Uint8Array(data, at, Math.min(MAX_FRAME, data.byteLength - at));
			const frame = new Uint8Array(HEAD + part.length);
			new DataView(frame.buffer).setUint32(0, part.length);
			frame.set(part, HEAD);
			this.bufferedAmount += frame.length;
			this.#writer?.write(frame).then(
				() => {
					this.bufferedAmount -= frame.length;
				},
				() => this.close(),
			);
		}
	}

	close(): void {
		if (this.readyState !== OPEN) return;
		this.end();
		this.#writer?.close().catch(() => {});
		setTimeout(() => this.transport.close(), LINGER);
	}

	/** Tells of the end, once. */
	end(): void {
		if (this.readyState === CLOSED) return;
		this.readyState = CLOSED;
		this.onclose?.(this);
	}

	/** Hands on frames until the stream ends, or is none of frames. */
	async #read(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
		let rest = new Uint8Array();
		for (;;) {
			const { done, value } = await reader.read();
			if (done) return;
			const all = new Uint8Array(rest.length + value.length);
			all.set(rest);
			all.set(value, rest.length);
			const view = new DataView(all.buffer);
			let at = 0;
			while (all.length - at >= HEAD) {
				const length = view.getUint32(at);
				const end = at + HEAD + length;
				if (length < 1 || length > MAX_FRAME) return;
				if (end > all.length) break;
				await this.onmessage?.({ data: all.slice(at + HEAD, end).buffer });
				at = end;
			}
			rest = all.subarray(at);
		}
	}
}
