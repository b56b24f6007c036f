import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import type { Carrier } from "../core/ports.ts";
import { accepting, webTransport } from "./webtransport.ts";

/** The relay's end of a session, which the last `new WebTransport` made. */
class FakeTransport {
	static last: FakeTransport;
	static ready: Promise<void> = Promise.resolve();
	readonly ready = FakeTransport.ready;
	readonly closed: Promise<void>;
	/** Frames that the page has written. */
	readonly written: Uint8Array[] = [];
	finished = false;
	ended = false;
	feed!: ReadableStreamDefaultController<Uint8Array>;
	#close = () => {};

	constructor(
		readonly url: string,
		readonly options?: { serverCertificateHashes: { algorithm: string; value: Uint8Array }[] },
	) {
		FakeTransport.last = this;
		this.closed = new Promise((resolve) => {
			this.#close = resolve;
		});
	}

	async createBidirectionalStream() {
		return {
			readable: new ReadableStream<Uint8Array>({
				start: (controller) => {
					this.feed = controller;
				},
			}),
			writable: new WritableStream<Uint8Array>({
				write: (chunk) => void this.written.push(chunk),
				close: () => {
					this.finished = true;
				},
			}),
		};
	}

	close(): void {
		this.ended = true;
		this.#close();
	}
}

const browser = globalThis as { WebTransport?: unknown };
const settle = () => new Promise((resolve) => setImmediate(resolve));
const frame = (n: number, length = n) => {
	const f = new Uint8Array(4 + n).fill(7);
	new DataView(f.buffer).setUint32(0, length);
	return f;
};

afterEach(() => {
	delete browser.WebTransport;
	FakeTransport.ready = Promise.resolve();
});

interface Dialled {
	carrier: Carrier;
	relay: FakeTransport;
	/** Lengths of the messages that came. */
	came: number[];
	state: { closed: number };
}

async function dial(hashes?: string[]): Promise<Dialled> {
	browser.WebTransport = FakeTransport;
	const carrier = await webTransport(hashes && accepting(hashes))?.("https://relay.example/", new AbortController().signal);
	assert(carrier);
	const came: number[] = [];
	const state = { closed: 0 };
	carrier.onmessage = ({ data }) => void came.push((data as ArrayBuffer).byteLength);
	carrier.onclose = () => state.closed++;
	return { carrier, relay: FakeTransport.last, came, state };
}

test("a browser without it has none", () => {
	assert.equal(webTransport(), null);
});

test("certificates are accepted by their hash only where hashes are given", async () => {
	assert.equal((await dial()).relay.options, undefined);
	const { relay } = await dial(["AQID"]);
	assert.deepEqual(relay.options, { serverCertificateHashes: [{ algorithm: "sha-256", value: new Uint8Array([1, 2, 3]) }] });
});

test("each message is a frame, a large one several", async () => {
	const { carrier, relay } = await dial();
	for (const n of [0, 1, 1200, 65_536, 65_537]) carrier.send(new ArrayBuffer(n));
	await settle();
	assert.deepEqual(
		relay.written.map((f) => [f.length - 4, new DataView(f.buffer).getUint32(0)]),
		[1, 1200, 65_536, 65_536, 1].map((n) => [n, n]),
	);
	assert.equal(carrier.bufferedAmount, 0);
});

test("frames come out of the stream however it is cut", async () => {
	const { relay, came } = await dial();
	const stream = Buffer.concat([frame(1), frame(1200), frame(65_536), frame(3)]);
	for (let at = 0; at < stream.length; at += 1021) relay.feed.enqueue(new Uint8Array(stream.subarray(at, at + 1021)));
	for (const byte of frame(5)) relay.feed.enqueue(new Uint8Array([byte]));
	for (let i = 0; i < 5; i++) await settle();
	assert.deepEqual(came, [1, 1200, 65_536, 3, 5]);
});

test("a frame of no length, or too long, ends it", async () => {
	for (const bad of [frame(0), frame(10, 65_537), frame(10, 0xffffffff)]) {
		const { carrier, relay, came, state } = await dial();
		relay.feed.enqueue(frame(2));
		relay.feed.enqueue(bad);
		await settle();
		assert.deepEqual([came, carrier.readyState, state.closed, relay.finished], [[2], 3, 1, true]);
	}
});

test("the next frame waits until there is room for it", async () => {
	const { carrier, relay } = await dial();
	let taken = 0;
	let go = () => {};
	carrier.onmessage = () => {
		taken++;
		return new Promise<void>((resolve) => {
			go = resolve;
		});
	};
	relay.feed.enqueue(new Uint8Array(Buffer.concat([frame(1), frame(1)])));
	relay.feed.enqueue(frame(1));
	for (const want of [1, 2, 3]) {
		await settle();
		assert.equal(taken, want);
		go();
	}
});

test("the relay's end is the carrier's", async () => {
	const byStream = await dial();
	byStream.relay.feed.close();
	await settle();
	assert.deepEqual([byStream.carrier.readyState, byStream.state.closed], [3, 1]);
	const bySession = await dial();
	bySession.relay.close();
	await settle();
	assert.deepEqual([bySession.carrier.readyState, bySession.state.closed], [3, 1]);
});

test("what was sent before the end still leaves", async (t) => {
	t.mock.timers.enable({ apis: ["setTimeout"] });
	const { carrier, relay, state } = await dial();
	carrier.send(new ArrayBuffer(9));
	carrier.close();
	carrier.close();
	await settle();
	assert.deepEqual([relay.written.length, relay.finished, relay.ended, state.closed], [1, true, false, 1]);
	t.mock.timers.tick(1000);
	assert.equal(relay.ended, true);
});

test("one that does not get ready ends with its signal, one that is open does not", async () => {
	browser.WebTransport = FakeTransport;
	const life = new AbortController();
	FakeTransport.ready = new Promise(() => {});
	void webTransport()?.("https://relay.example/", life.signal);
	assert.equal(FakeTransport.last.ended, false);
	life.abort();
	assert.equal(FakeTransport.last.ended, true);

	FakeTransport.ready = Promise.resolve();
	const other = new AbortController();
	await webTransport()?.("https://relay.example/", other.signal);
	other.abort();
	assert.equal(FakeTransport.last.ended, false);

	FakeTransport.ready = Promise.reject(new Error("no such relay"));
	await assert.rejects(async () => await webTransport()?.("https://relay.example/", other.signal));
});
