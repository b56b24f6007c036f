import type { RateLimit } from "./budget.ts";
import type { Carrier, Channel, Clock } from "./ports.ts";

/** No more is handed to a carrier while it holds this much; the channel's goes on below LOW (webext.md, section 4). */
const HIGH = 1024 * 1024;
const LOW = 512 * 1024;

/** How often a carrier that holds enough is looked at, ms: neither WebSocket nor WebTransport tells that it has sent. */
const LOOK = 20;

/**
 * The most that waits in one direction, with what the carrier holds. Neither channel nor WebSocket can be told to wait (webext.md,
 * section 4), so that what a fast sender sends to a slow receiver has to end somewhere. A WebTransport stream can, and waits
 * while more than HIGH waits here.
 */
const CAP = 4 * 1024 * 1024;

/** What a message costs beside its bytes, about, so that small ones are not free. */
const OVERHEAD = 256;

/** The largest message that is made of several, and the largest that is handed on whole (server and client take 65535 bytes). */
const JOINED = 64 * 1024 - 1;

/** The largest piece of a message that may be cut: every SCTP stack takes it (RFC 8831, section 6.6). */
const PIECE = 16 * 1024;

/** A silent pump ends: nothing either way, or nothing from the relay, ms; as proxy/snowproxy has it (spec section 8.2). */
const IDLE = 30e3;
const SILENT = 60e3;
const TICK = 5e3;

/** How long what one end had sent before it ended may take to leave through the other, ms. */
const DRAIN = 3e3;

/** Where messages go: a channel or a carrier. */
interface Sink {
	readonly bufferedAmount: number;
	send(data: ArrayBuffer): void;
}

/** What pumps share, and whom they tell. */
export interface PumpContext {
	ports: { clock: Clock };
	limit: RateLimit;
	/** Bytes that have been sent on: up to the relay, or down to the client. */
	sent(up: number, down: number): void;
}

/** One direction. Messages wait in it for their sink to be there, for room in it, and for the rate limit. */
class Flow {
	/** Messages have come since this was last false. */
	moved = false;
	readonly #queue: ArrayBuffer[] = [];
	#held = 0;
	#full = false;
	#soon = false;
	#cancel = () => {};
	#roomy = () => {};
	#sink: Sink | null = null;

	constructor(
		private readonly context: PumpContext,
		/** Messages may be joined. */
		private readonly joins: boolean,
		private readonly sent: (bytes: number) => void,
		private readonly failed: () => void,
	) {}

	/** Takes a message; false if there is no room for it. */
	push(message: ArrayBuffer): boolean {
		const size = message.byteLength + OVERHEAD;
		if (this.#held + size + (this.#sink?.bufferedAmount ?? 0) > CAP) return false;
		this.moved = true;
		this.#held += size;
		this.#queue.push(message);
		if (!this.joins) this.run();
		else if (!this.#soon) {
			// What has come in one go leaves as one message: a quarter of the work less (webext.md, section 4).
			this.#soon = true;
			this.context.ports.clock.soon(() => {
				this.#soon = false;
				this.run();
			});
		}
		return true;
	}

	/** Resolves when there is room again for a sender that can wait for it; undefined if there is. */
	room(): Promise<void> | undefined {
		if (this.#held < HIGH) return undefined;
		return new Promise((resolve) => {
			this.#roomy = resolve;
		});
	}

	open(sink: Sink): void {
		this.#sink = sink;
		this.run();
	}

	/** Sends what may be sent now, and comes back for the rest. With all it sends everything, because there is no later. */
	run(all = false): void {
		const { limit, ports } = this.context;
		this.#cancel();
		while (this.#sink && this.#queue.length) {
			this.#full = this.#sink.bufferedAmount > (this.#full ? LOW : HIGH);
			const pause = all ? 0 : this.#full ? LOOK : limit.wait(ports.clock.now());
			if (pause) {
				this.#cancel = ports.clock.after(pause, () => this.run());
				break;
			}
			const message = this.#take();
			try {
				this.#sink.send(message);
			} catch {
				this.failed();
				break;
			}
			limit.take(message.byteLength);
			this.sent(message.byteLength);
		}
		if (this.#held < LOW) this.#roomy();
	}

	end(): void {
		this.#cancel();
		this.#roomy();
		this.#sink = null;
		this.#queue.length = 0;
	}

	/** Takes the next message from the queue, or several as one. */
	#take(): ArrayBuffer {
		const parts: Uint8Array[] = [];
		let size = 0;
		do {
			const next = this.#queue.shift() as ArrayBuffer;
			this.#held -= next.byteLength + OVERHEAD;
			if (!this.joins) return next;
			parts.push(new Uint8Array(next));
			size += next.byteLength;
		} while (size + (this.#queue[0]?.byteLength ?? JOINED) <= JOINED);
		const joined = new Uint8Array(size);
		for (const part of parts.reverse()) joined.set(part, (size -= part.length));
		return joined.buffer;
	}
}

/**
 * Copies messages both ways between a client's channel and a relay's carrier until one of them ends.
 *
 * An ordered channel is a byte stream to both ends (spec sections 6, 8.1), and a server divides what comes up by messages only if the
 * client has said so, which it does on unordered channels only (E.2). So upstream messages of an ordered channel are joined,
 * and its downstream messages are cut where they are too large. On an unordered channel every message is a packet of its own:
 * each is handed on as it is, or, where it cannot be, dropped, which its ends bear as they bear loss.
 */
export class Pump {
	/** Resolves when both ends are over. */
	readonly over: Promise<void>;
	readonly #up: Flow;
	readonly #down: Flow;
	#carrier: Carrier | null = null;
	#ended = false;
	#settle = () => {};
	#cancel = () => {};

	/** Listens to channel at once: its first messages come before the relay is there. */
	constructor(
		private readonly context: PumpContext,
		private readonly channel: Channel,
	) {
		this.over = new Promise((resolve) => {
			this.#settle = resolve;
		});
		const failed = () => this.end();
		this.#up = new Flow(context, channel.ordered, (n) => context.sent(n, 0), failed);
		this.#down = new Flow(context, false, (n) => context.sent(0, n), failed);
		channel.binaryType = "arraybuffer";
		channel.bufferedAmountLowThreshold = LOW;
		channel.onbufferedamountlow = () => this.#down.run();
		channel.onmessage = ({ data }) => this.#take(this.#up, data, JOINED);
		channel.onclose = () => {
			this.#up.run(true);
			this.end();
		};
	}

	/** Pumps to and from carrier, which end closes. */
	open(carrier: Carrier): void {
		this.#carrier = carrier;
		if (this.#ended) {
			carrier.close();
			return;
		}
		carrier.onmessage = ({ data }) => this.#take(this.#down, data, PIECE);
		carrier.onclose = () => this.#drain();
		this.#watch(0, 0);
		this.#down.open(this.channel);
		this.#up.open(carrier);
	}

	end(): void {
		this.#ended = true;
		this.#cancel();
		this.#up.end();
		this.#down.end();
		this.#carrier?.close();
		this.#settle();
	}

	/** Takes a message for flow. What it returns tells a sender that can wait when to send the next. */
	#take(flow: Flow, data: unknown, piece: number): Promise<void> | undefined {
		if (this.#ended || !(data instanceof ArrayBuffer)) return undefined; // nobody sends texts (spec section 6)
		const { ordered } = this.channel;
		const size = ordered ? piece : JOINED;
		if (!ordered && data.byteLength > size) return undefined;
		for (let at = 0; at < data.byteLength && !this.#ended; at += size) {
			const part = data.byteLength > size ? data.slice(at, at + size) : data;
			if (!flow.push(part) && ordered) this.end();
		}
		return this.#ended ? undefined : flow.room();
	}

	/** Ends a pump on which nothing moves any more. Time is counted in ticks: while the device sleeps nobody is silent. */
	#watch(idle: number, silent: number): void {
		this.#cancel = this.context.ports.clock.after(TICK, () => {
			const [up, down] = [this.#up, this.#down];
			const idles = up.moved || down.moved ? 0 : idle + TICK;
			const silence = down.moved ? 0 : silent + TICK;
			up.moved = down.moved = false;
			if (idles >= IDLE || silence >= SILENT) this.end();
			else this.#watch(idles, silence);
		});
	}

	/** The relay is gone: lets the client have what came from it. */
	#drain(): void {
		this.#down.run(true);
		if (this.#ended) return;
		this.channel.onmessage = null;
		this.channel.onclose = () => this.end();
		this.channel.close();
		this.#cancel();
		this.#cancel = this.context.ports.clock.after(DRAIN, () => this.end());
	}
}
