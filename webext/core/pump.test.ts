import assert from "node:assert/strict";
import { test } from "node:test";
import { RateLimit } from "./budget.ts";
import { bytes, FakeCarrier, FakeChannel, FakeClock, joined, settle } from "./fakes.ts";
import { Pump } from "./pump.ts";

const MIB = 1024 * 1024;

class Bench {
	readonly clock = new FakeClock();
	readonly limit = new RateLimit();
	readonly carrier = new FakeCarrier("wss://relay.example/");
	readonly channel: FakeChannel;
	readonly pump: Pump;
	up = 0;
	down = 0;
	over = false;

	constructor(ordered = true, open = true) {
		this.channel = new FakeChannel(ordered);
		this.channel.readyState = "open";
		this.pump = new Pump(
			{
				ports: { clock: this.clock },
				limit: this.limit,
				sent: (up, down) => {
					this.up += up;
					this.down += down;
				},
			},
			this.channel,
		);
		this.pump.over.then(() => {
			this.over = true;
		});
		if (open) this.pump.open(this.carrier);
	}
}

test("bytes go both ways and are counted", async () => {
	const b = new Bench();
	b.channel.receive(bytes(10, 1));
	b.carrier.receive(bytes(20, 2));
	await settle();
	assert.deepEqual([joined(b.carrier.sent), joined(b.channel.sent)], [Buffer.alloc(10, 1), Buffer.alloc(20, 2)]);
	assert.deepEqual([b.up, b.down], [10, 20]);
	assert.equal(b.channel.binaryType, "arraybuffer");
});

test("what the client sends before the relay is there is not lost", async () => {
	const b = new Bench(true, false);
	b.channel.receive(bytes(8, 1));
	b.channel.receive(bytes(8, 2));
	await settle();
	b.pump.open(b.carrier);
	assert.deepEqual(joined(b.carrier.sent), Buffer.concat([Buffer.alloc(8, 1), Buffer.alloc(8, 2)]));
});

test("texts, Blobs and empty messages are passed over", async () => {
	const b = new Bench();
	for (const data of ["text", new Blob(["x"]), null, undefined, 7, {}, new Uint8Array(5), bytes(0)]) {
		b.channel.receive(data);
		b.carrier.receive(data);
	}
	await settle();
	assert.deepEqual([b.carrier.sent, b.channel.sent, b.over], [[], [], false]);
});

test("an ordered channel's messages are joined up, in order and not beyond 64 KiB", async () => {
	const b = new Bench();
	for (let i = 0; i < 200; i++) b.channel.receive(bytes(1200, i));
	await settle();
	assert.equal(b.carrier.sent.length, Math.ceil(200 / 54));
	for (const { byteLength } of b.carrier.sent) assert(byteLength < 65_536);
	assert.deepEqual(joined(b.carrier.sent), joined(Array.from({ length: 200 }, (_, i) => bytes(1200, i))));
});

test("a large message of an ordered channel is cut", async () => {
	const b = new Bench();
	b.channel.receive(bytes(262_144, 3));
	b.carrier.receive(bytes(100_000, 4));
	await settle();
	assert.deepEqual([joined(b.carrier.sent).length, joined(b.channel.sent).length], [262_144, 100_000]);
	for (const { byteLength } of b.carrier.sent) assert(byteLength < 65_536);
	for (const { byteLength } of b.channel.sent) assert(byteLength <= 16_384);
});

test("an unordered channel's messages keep their edges both ways", async () => {
	const b = new Bench(false);
	const sizes = [19, 1135, 1, 2048, 65_535];
	for (const n of sizes) {
		b.channel.receive(bytes(n));
		b.carrier.receive(bytes(n));
	}
	b.channel.receive(bytes(65_536));
	b.carrier.receive(bytes(262_144));
	await settle();
	for (const { sent } of [b.carrier, b.channel])
		assert.deepEqual(
			sent.map((m) => m.byteLength),
			sizes,
		);
});

test("a full channel is waited for, and the rest waits in order", async () => {
	const b = new Bench();
	b.channel.drains = false;
	for (let i = 0; i < 200; i++) b.carrier.receive(bytes(10_000, i));
	const first = b.channel.sent.length;
	assert(first * 10_000 > MIB && first * 10_000 <= MIB + 10_000, `${first} messages`);
	await b.clock.pass(1000);
	assert.equal(b.channel.sent.length, first);
	b.channel.bufferedAmount = 700_000;
	await b.clock.pass(1000);
	assert.equal(b.channel.sent.length, first, "above the low mark");
	b.channel.drain();
	assert.equal(b.channel.sent.length, 200);
	assert.deepEqual(
		b.channel.sent.map((m) => new Uint8Array(m)[0]),
		Array.from({ length: 200 }, (_, i) => i),
	);
});

test("a full relay is looked at until it is empty", async () => {
	const b = new Bench();
	b.carrier.drains = false;
	for (let i = 0; i < 20; i++) b.channel.receive(bytes(60_000, i));
	for (let i = 0; i < 20; i++) b.channel.receive(bytes(60_000, i));
	await settle();
	assert(b.up < 1.1 * MIB);
	b.carrier.bufferedAmount = 0;
	await b.clock.pass(20);
	b.carrier.bufferedAmount = 0;
	await b.clock.pass(20);
	assert.equal(b.up, 40 * 60_000);
});

test("a relay that can wait is told to, and no session of its ends for being slow", async () => {
	const b = new Bench();
	b.channel.drains = false;
	const send = async () => {
		for (let i = 0; i < 1000; i++) await b.carrier.receive(bytes(10_000, i));
	};
	let done = false;
	send().then(() => {
		done = true;
	});
	await settle();
	assert.equal(done, false);
	for (let i = 0; i < 20; i++) {
		b.channel.drain();
		await settle();
	}
	assert.deepEqual([done, b.over, b.down], [true, false, 10_000_000]);
});

test("a relay that waits is let go when the session ends", async () => {
	const b = new Bench();
	b.channel.drains = false;
	let waits: unknown;
	for (let i = 0; i < 250; i++) waits = b.carrier.receive(bytes(10_000));
	assert(waits instanceof Promise);
	b.pump.end();
	await waits;
});

test("a sender that overwhelms an ordered session ends it", async () => {
	for (const way of ["channel", "carrier"] as const) {
		const b = new Bench();
		b.channel.drains = b.carrier.drains = false;
		for (let i = 0; i < 70; i++) b[way].receive(bytes(60_000));
		await settle();
		assert.equal(b.over, true, way);
		assert.equal(b.carrier.readyState, 3);
	}
});

test("of an unordered session that overwhelms, the newest messages are dropped", async () => {
	const b = new Bench(false);
	b.carrier.drains = false;
	for (let i = 0; i < 5000; i++) b.channel.receive(bytes(1200, i % 251));
	await settle();
	assert.equal(b.over, false);
	for (let i = 0; i < 10; i++) {
		b.carrier.bufferedAmount = 0;
		await b.clock.pass(20);
	}
	const { sent } = b.carrier;
	assert(sent.length * 1200 < 4 * MIB && sent.length * 1200 > 3.4 * MIB, `${sent.length} messages`);
	assert(sent.every((m, i) => m.byteLength === 1200 && new Uint8Array(m)[0] === i % 251));
});

test("tiny messages are not free", async () => {
	const b = new Bench(false, false);
	for (let i = 0; i < 50_000; i++) b.channel.receive(bytes(1));
	b.pump.open(b.carrier);
	assert(b.carrier.sent.length < 20_000, `${b.carrier.sent.length} messages`);
});

test("the rate limit holds for both directions together", async () => {
	const b = new Bench();
	b.limit.set(100_000, b.clock.now());
	for (let i = 0; i < 1000; i++) {
		b.channel.receive(bytes(1000));
		b.carrier.receive(bytes(1000));
	}
	await b.clock.pass(9000);
	const sent = b.up + b.down;
	assert(sent > 990_000 && sent <= 1_070_000, `${sent} bytes`);
	await b.clock.pass(20_000);
	assert.equal(b.up + b.down, 2_000_000);
});

test("nothing either way ends after 30 s, only silence of the relay after 60 s", async () => {
	const idle = new Bench();
	await idle.clock.pass(29_000);
	assert.equal(idle.over, false);
	await idle.clock.pass(5000);
	assert.equal(idle.over, true);

	const silent = new Bench();
	for (let i = 0; i < 5; i++) {
		silent.channel.receive(bytes(1));
		await silent.clock.pass(10_000);
	}
	assert.equal(silent.over, false);
	silent.channel.receive(bytes(1));
	await silent.clock.pass(15_000);
	assert.equal(silent.over, true);

	const quiet = new Bench();
	for (let i = 0; i < 20; i++) {
		quiet.carrier.receive(bytes(1));
		await quiet.clock.pass(20_000);
	}
	assert.equal(quiet.over, false);
});

test("the client's last words reach the relay", async () => {
	const b = new Bench();
	b.limit.set(10_000, b.clock.now());
	for (let i = 0; i < 200; i++) b.channel.receive(bytes(1000));
	b.channel.close();
	await settle();
	assert.deepEqual([b.up, b.over, b.carrier.readyState], [200_000, true, 3]);
});

test("the relay's last words reach the client", async () => {
	const b = new Bench();
	b.channel.drains = false;
	for (let i = 0; i < 200; i++) b.carrier.receive(bytes(10_000));
	b.carrier.close();
	await settle();
	assert.deepEqual([b.down, b.channel.readyState], [2_000_000, "closed"]);
	await settle();
	assert.equal(b.over, true);
});

test("a channel that never closes is given up after three seconds", async () => {
	const b = new Bench();
	b.channel.close = () => {};
	b.carrier.close();
	await b.clock.pass(2900);
	assert.equal(b.over, false);
	await b.clock.pass(200);
	assert.equal(b.over, true);
});

test("a channel that refuses a message ends the pump, and no timer is left", async () => {
	const b = new Bench();
	b.channel.readyState = "closing";
	b.carrier.receive(bytes(10));
	await settle();
	assert.deepEqual([b.over, b.carrier.readyState, b.clock.waiting], [true, 3, 0]);
	b.channel.receive(bytes(10));
	b.carrier.receive(bytes(10));
	assert.deepEqual([b.carrier.sent, b.down], [[], 0]);
});

test("a relay that comes too late is closed", () => {
	const b = new Bench(true, false);
	b.pump.end();
	b.pump.open(b.carrier);
	assert.equal(b.carrier.readyState, 3);
});
