import assert from "node:assert/strict";
import { test } from "node:test";
import { Engine } from "./engine.ts";
import { bytes, config, FakeChannel, type FakeClient, type FakePeer, joined, offer, settle, World } from "./fakes.ts";
import { applyDelta, openLedger, totals } from "./ledger.ts";
import { decodeDescription } from "./messages.ts";
import { CHROMIUM, OFFER } from "./samples.ts";
import { defaults } from "./settings.ts";
import type { Delta, Settings, Snapshot } from "./types.ts";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** An engine in a world, and all that it has told. */
class Volunteer {
	readonly world = new World();
	readonly engine: Engine;
	readonly told: Snapshot[] = [];
	readonly deltas: Delta[] = [];
	settings: Settings;

	constructor(settings: Partial<Settings> = {}, more: Partial<typeof config> = {}) {
		this.settings = { ...defaults(), enabled: true, ...settings };
		this.engine = new Engine({ ...config, ...more }, this.world, {
			snapshot: (s) => this.told.push(s),
			delta: (d) => this.deltas.push(d),
		});
	}

	/** Switches on, and waits until the first poll is under way. */
	async start(used = 0): Promise<this> {
		this.engine.start(this.settings, used);
		await settle();
		return this.pass(0);
	}

	async pass(ms: number): Promise<this> {
		await this.world.clock.pass(ms);
		await settle();
		return this;
	}

	get snapshot(): Snapshot {
		return this.engine.snapshot();
	}

	/** Phase and the reason for it, or the trouble. */
	get state(): string {
		const { phase, pause, trouble } = this.snapshot;
		return [phase, pause, trouble].filter(Boolean).join(" ");
	}

	/** Clients come, one with each poll, until the engine has answered them; their peers. */
	async match(...clients: FakeClient[]): Promise<FakePeer[]> {
		const before = this.world.answers.length;
		this.world.clients.push(...clients);
		for (let i = 0; i < 200 && this.world.answers.length < before + clients.length; i++) await this.pass(SECOND);
		assert.equal(this.world.answers.length, before + clients.length, "answers");
		return this.world.peers.slice(-clients.length);
	}

	/** A client comes and its channel opens. */
	async serve(channel = new FakeChannel()): Promise<FakeChannel> {
		const [peer] = await this.match({});
		peer?.connect(channel);
		await this.pass(0);
		return channel;
	}

	get counted(): { people: number; bytes: number } {
		return totals(this.deltas.reduce(applyDelta, openLedger(null, 0)), this.world.clock.now()).total;
	}
}

test("nothing happens before it is switched on", async () => {
	const v = new Volunteer();
	await v.pass(DAY);
	assert.equal(v.state, "off");
	assert.deepEqual([v.world.polls, v.world.peers, v.told], [[], [], []]);
	await v.engine.stop({ drain: true });
	v.engine.retry();
	await v.pass(DAY);
	assert.deepEqual([v.world.polls, v.state], [[], "off"]);
});

test("it finds out about the network, then asks, without a connection of its own", async () => {
	const v = new Volunteer();
	v.engine.start(v.settings);
	assert.equal(v.state, "starting");
	await v.pass(0);
	assert.equal(v.state, "polling");
	await v.pass(11 * SECOND);
	assert.equal(v.state, "polling nobody-yet");
	assert.deepEqual([v.world.probes, v.world.peers.length], [1, 1]);
	const [poll] = v.world.polls;
	assert.deepEqual(
		{ ...poll, Sid: "" },
		{ Sid: "", Version: "1.3", Type: "webext", NAT: "unrestricted", Clients: 0, AcceptedRelayPattern: "relay.example$" },
	);
	assert.match(String(poll?.Sid), /^[\w+/]{22}$/);
	await v.pass(10 * MINUTE);
	assert.equal(v.world.peers.length, 1);
	assert.equal(new Set(v.world.polls.map((p) => p.Sid)).size, v.world.polls.length);
});

test("the broker's interval holds", async () => {
	const v = await new Volunteer().start();
	await v.pass(10 * MINUTE);
	// Each poll is held for 10 s, and 20 s to 22 s follow.
	assert(v.world.polls.length >= 18 && v.world.polls.length <= 21, `${v.world.polls.length} polls`);
});

test("a match is served, and counted once", async () => {
	const v = await new Volunteer().start();
	const [peer] = await v.match({ relayURL: "wss://2.relay.example/x" });
	assert(peer);
	const [answer] = v.world.answers;
	assert.deepEqual([answer?.Sid, answer?.Version], [v.world.polls.at(-1)?.Sid, "1.3"]);
	const { type, sdp } = decodeDescription(answer?.Answer ?? "");
	assert.equal(type, "answer");
	assert.match(sdp, /^a=candidate:.*srflx/m);
	assert.match(sdp, /^a=whole-messages\r$/m);
	assert.doesNotMatch(sdp, /192\.168|fd12|fe80/);
	assert.equal(peer.remote?.sdp.includes("192.168"), false);

	const channel = peer.connect();
	channel.receive(bytes(16, 1));
	await v.pass(0);
	assert.deepEqual(v.world.dialled, ["wss://2.relay.example/x?client_ip=198.51.100.7"]);
	assert.deepEqual([v.snapshot.connected, v.state, v.counted.people], [1, "polling", 1]);
	const [carrier] = v.world.carriers;
	for (let i = 0; i < 100; i++) {
		channel.receive(bytes(1000, i));
		carrier?.receive(bytes(1200, i));
		await v.pass(100);
	}
	assert(v.snapshot.rate > 15_000 && v.snapshot.rate < 25_000, `${v.snapshot.rate} B/s`);
	assert(v.counted.bytes > 100_000, "the counters are told while it goes on");
	channel.close();
	await v.pass(5 * SECOND);
	assert.deepEqual([joined(carrier?.sent ?? []).length, joined(channel.sent).length], [100_016, 120_000]);
	assert.deepEqual(v.counted, { people: 1, bytes: 220_016 });
	assert.deepEqual([peer.connectionState, carrier?.readyState, v.snapshot.connected, v.snapshot.rate], ["closed", 3, 0, 0]);
	assert.deepEqual(
		v.deltas.map((d) => d.seq),
		v.deltas.map((_, i) => i + 1),
	);
});

test("without a relay from the broker our own is dialled", async () => {
	const v = await new Volunteer().start();
	await v.serve();
	assert.deepEqual(v.world.dialled, ["wss://relay.example/?client_ip=198.51.100.7"]);
});

test("two at once, and no more than allowed", async () => {
	const v = await new Volunteer({ maxClients: 2 }).start();
	const [a, b] = [await v.serve(), await v.serve()];
	assert.deepEqual([v.state, v.snapshot.connected], ["full", 2]);
	const polls = v.world.polls.length;
	for (let i = 0; i < 10; i++) {
		for (const c of v.world.carriers) c.receive(bytes(1));
		await v.pass(20 * SECOND);
	}
	assert.equal(v.world.polls.length, polls);
	a.receive(bytes(5, 1));
	b.receive(bytes(5, 2));
	await v.pass(0);
	assert.deepEqual(
		v.world.carriers.map((c) => joined(c.sent)[0]),
		[1, 2],
	);
	a.close();
	await v.pass(SECOND);
	assert.equal(v.state, "polling");
	assert(v.world.polls.length > polls);
	assert.deepEqual(v.counted.people, 2);
});

test("draining asks for nobody and ends with the last session", async () => {
	const v = await new Volunteer().start();
	const channel = await v.serve();
	let off = false;
	v.engine.stop({ drain: true }).then(() => {
		off = true;
	});
	const polls = v.world.polls.length;
	v.world.clients.push({});
	for (let i = 0; i < 8; i++) {
		v.world.carriers[0]?.receive(bytes(100));
		await v.pass(20 * SECOND);
	}
	assert.deepEqual([v.state, v.snapshot.connected, off, v.world.polls.length], ["draining", 1, false, polls]);
	channel.close();
	await v.pass(0);
	assert.deepEqual([v.state, off], ["off", true]);
	assert.equal(v.counted.bytes, 800);
});

test("draining has a limit", async () => {
	const v = await new Volunteer().start();
	await v.serve();
	v.engine.stop({ drain: true });
	for (let i = 0; i < 16; i++) {
		v.world.carriers[0]?.receive(bytes(1));
		await v.pass(20 * SECOND);
	}
	assert.deepEqual([v.state, v.world.carriers[0]?.readyState, v.world.peers.at(-1)?.connectionState], ["off", 3, "closed"]);
});

test("who is switched on again while draining goes on", async () => {
	const v = await new Volunteer().start();
	await v.serve();
	v.engine.stop({ drain: true });
	await v.pass(MINUTE / 3);
	v.engine.start(v.settings);
	for (let i = 0; i < 20; i++) {
		v.world.carriers[0]?.receive(bytes(1));
		await v.pass(20 * SECOND);
	}
	assert.deepEqual([v.state, v.snapshot.connected], ["polling", 1]);
});

test("draining without a session ends at once", async () => {
	const v = await new Volunteer().start();
	await v.engine.stop({ drain: true });
	assert.equal(v.state, "off");
});

test("off is off: nothing is left, not even a timer", async () => {
	const v = await new Volunteer().start();
	const channel = await v.serve();
	await v.match({});
	await v.engine.stop({ drain: false });
	assert.deepEqual([v.state, v.world.watched], ["off", false]);
	channel.receive(bytes(10));
	await settle();
	assert.equal(v.counted.bytes, 0);
	await v.pass(10 * MINUTE);
	assert(v.world.peers.every((p) => p.connectionState === "closed"));
	assert(v.world.carriers.every((c) => c.readyState === 3));
	assert.equal(v.world.clock.waiting, 0);
	const polls = v.world.polls.length;
	await v.pass(DAY);
	assert.equal(v.world.polls.length, polls);
	await v.start();
	assert.equal(v.state, "polling nobody-yet");
	assert.equal(v.world.polls.length, polls + 1);
});

test("who switches off and on again is asked for at once", async () => {
	const v = await new Volunteer().start();
	await v.pass(12 * SECOND);
	v.engine.stop({ drain: false });
	v.engine.start(v.settings);
	await v.pass(0);
	assert.equal(v.world.polls.length, 2);
});

test("the volunteer's conditions pause it, and end with them", async () => {
	const v = new Volunteer({ onlyCharging: true, onlyUnmetered: true });
	v.world.now = { charging: false, metered: null, online: true };
	await v.start();
	assert.equal(v.state, "paused battery");
	await v.pass(DAY);
	assert.deepEqual([v.world.polls.length, v.world.probes], [0, 0]);
	v.world.become({ charging: true });
	await v.pass(0);
	assert.equal(v.state, "polling");
	await v.serve();

	v.world.become({ charging: false });
	await v.pass(0);
	assert.deepEqual([v.state, v.snapshot.connected], ["paused battery", 1], "sessions go on from the battery");
	v.world.become({ charging: true, metered: true });
	await v.pass(0);
	assert.deepEqual([v.state, v.snapshot.connected, v.world.carriers[0]?.readyState], ["paused metered", 0, 3]);
	v.world.become({ online: false });
	assert.equal(v.state, "paused offline");
	v.world.become({ online: true, metered: false });
	await v.pass(0);
	assert.equal(v.state, "polling");
	v.world.become({ charging: null, metered: null });
	assert.equal(v.state, "polling", "what the browser does not tell keeps nobody");
});

test("a pause ends a poll, whose client would not be served", async () => {
	const v = await new Volunteer({ onlyCharging: true }).start();
	await v.pass(5 * SECOND);
	const polls = v.world.polls.length;
	v.world.become({ charging: false });
	await v.pass(SECOND);
	assert.deepEqual([v.world.polls.length, v.world.aborted], [polls, 1]);
	v.engine.update({ ...v.settings, onlyCharging: false });
	await v.pass(0);
	assert.equal(v.world.polls.length, polls + 1);
});

test("the broker goes away and comes back", async () => {
	const v = await new Volunteer().start();
	await v.pass(MINUTE);
	v.world.brokerThere = false;
	await v.pass(2 * MINUTE);
	assert.equal(v.state, "polling broker-unreachable");
	const { lastPoll } = v.snapshot;
	assert(lastPoll > 0 && lastPoll < v.world.clock.now() - MINUTE);
	const polls = v.world.polls.length;
	v.world.brokerThere = true;
	await v.pass(80 * SECOND);
	assert(v.world.polls.length > polls);
	assert.equal(v.state, "polling nobody-yet");
	assert(v.snapshot.lastPoll > lastPoll);
});

test("a clock that is set back or forth by a day stops nothing", async () => {
	const v = await new Volunteer().start();
	for (const step of [-DAY, DAY, -DAY]) {
		await v.pass(15 * SECOND);
		v.world.clock.set(v.world.clock.now() + step);
		const polls = v.world.polls.length;
		await v.pass(5 * MINUTE);
		assert(v.world.polls.length >= polls + 8 && v.world.polls.length <= polls + 11, `${v.world.polls.length - polls} polls`);
	}
});

test("a broker that is away for long is not stormed", async () => {
	const v = new Volunteer();
	v.world.brokerThere = false;
	let tries = 0;
	const post = v.world.post.bind(v.world);
	v.world.post = (...all) => {
		tries++;
		return post(...all);
	};
	await v.start();
	await v.pass(HOUR);
	assert(tries > 50 && tries < 66, `${tries} tries`);
});

test("hostile responses of the broker do no harm", async () => {
	const v = await new Volunteer().start();
	const replies = [
		"",
		"{",
		"null",
		"[]",
		'{"Status":7}',
		'{"Status":"client match"}',
		'{"Status":"client match","Offer":"x","NextPoll":1.5}',
	];
	for (const reply of [...replies, '{"__proto__":{"Status":"client match","Offer":"x"}}', "[".repeat(90_000)]) {
		v.world.reply = reply;
		await v.pass(3 * MINUTE);
		assert.equal(v.state, "polling broker-unreachable", reply.slice(0, 50));
	}
	v.world.reply = '{"Status":"incorrect relay pattern","NextPoll":3600000}';
	await v.pass(2 * MINUTE);
	const polls = v.world.polls.length;
	await v.pass(57 * MINUTE);
	assert.equal(v.world.polls.length, polls, "its pause holds");
	v.world.reply = null;
	await v.pass(10 * MINUTE);
	await v.serve();
	assert.equal(v.world.peers.length, 2);
});

test("a broker that asks for a poll each millisecond gets one a second", async () => {
	const v = new Volunteer();
	v.world.reply = '{"Status":"no match","NextPoll":1}';
	await v.start();
	await v.pass(MINUTE);
	assert(v.world.polls.length <= 61, `${v.world.polls.length} polls`);
});

test("hostile offers are refused without an answer", async () => {
	const v = await new Volunteer().start();
	const offers = ["x", "{}", offer(""), offer("v=0\r\nm=audio 9 x y\r\n"), offer(`${OFFER}a=bad\r\n`), offer("x".repeat(90_000))];
	for (const hostile of offers) {
		const polls = v.world.polls.length;
		v.world.clients.push({ offer: hostile });
		for (let i = 0; i < 60 && v.world.clients.length; i++) await v.pass(SECOND);
		await v.pass(SECOND);
		assert(v.world.polls.length > polls);
	}
	assert.deepEqual([v.world.answers, v.world.dialled, v.snapshot.connected], [[], [], 0]);
	assert(v.world.peers.every((p) => p.connectionState === "closed"));
	await v.serve();
});

test("relays outside the pattern, without TLS or at local addresses are refused", async () => {
	const v = await new Volunteer().start();
	const relays = [
		"wss://evil.example/",
		"ws://relay.example/",
		"wss://127.0.0.1/",
		"wss://[::1]/",
		"http://relay.example/",
		"javascript:0",
		"wss://evilrelay.example/",
	];
	for (const relayURL of relays) {
		v.world.clients.push({ relayURL });
		for (let i = 0; i < 60 && v.world.clients.length; i++) await v.pass(SECOND);
		await v.pass(SECOND);
	}
	assert.deepEqual([v.world.answers, v.world.dialled], [[], []]);
	assert.equal(v.world.peers.length, 1, "no connection is made for them");
});

test("a dead relay is dialled twice, and told", async () => {
	const v = await new Volunteer().start();
	v.world.relayThere = false;
	const [peer] = await v.match({});
	assert.equal(v.world.dialled.length, 1);
	peer?.connect();
	await v.pass(0);
	assert.deepEqual([v.world.dialled.length, v.state, v.snapshot.connected], [2, "polling relay-unreachable", 0]);
	assert.equal(peer?.connectionState, "closed");
	v.world.relayThere = true;
	const channel = await v.serve();
	channel.receive(bytes(5));
	await v.pass(0);
	assert.equal(v.state, "polling");
	assert.equal(v.counted.people, 1);
});

test("a relay that dies while it waits for its client is dialled again", async () => {
	const v = await new Volunteer().start();
	const [peer] = await v.match({});
	await v.pass(0);
	v.world.carriers[0]?.close();
	await v.pass(SECOND);
	const channel = peer?.connect();
	await v.pass(0);
	channel?.receive(bytes(5));
	await v.pass(0);
	assert.equal(joined(v.world.carriers[1]?.sent ?? []).length, 5);
});

test("a relay that dies ends its session, and the channel closes", async () => {
	const v = await new Volunteer().start();
	const channel = await v.serve();
	channel.receive(bytes(5));
	await v.pass(SECOND);
	v.world.carriers[0]?.close();
	await v.pass(SECOND);
	assert.deepEqual([channel.readyState, v.snapshot.connected, v.world.peers.at(-1)?.connectionState], ["closed", 0, "closed"]);
});

test("a relay that never opens is given up", async () => {
	const v = await new Volunteer().start();
	v.world.webSocket = () => new Promise(() => {});
	const [peer] = await v.match({});
	const channel = peer?.connect();
	await v.pass(SECOND);
	assert.equal(v.snapshot.connected, 1);
	await v.pass(45 * SECOND);
	assert.deepEqual([v.snapshot.connected, v.state, peer?.connectionState], [0, "polling relay-unreachable", "closed"]);
	assert(channel);
});

test("a client that goes before its relay is there is nobody's fault", async () => {
	const v = await new Volunteer().start();
	v.world.webSocket = () => new Promise(() => {});
	const [peer] = await v.match({});
	const channel = peer?.connect();
	await v.pass(SECOND);
	channel?.close();
	await v.pass(SECOND);
	assert.deepEqual([v.snapshot.connected, v.state, v.counted.people], [0, "polling", 0]);
});

test("WebTransport is tried where the relay's URL asks for it", async () => {
	const v = await new Volunteer().start();
	const urls: string[] = [];
	v.world.webTransport = (url, signal) => {
		urls.push(url);
		return v.world.webSocket(url, signal);
	};
	await v.match({ relayURL: "https://relay.example:8443/wt?a=1" });
	assert.deepEqual(urls, ["https://relay.example:8443/wt?a=1&client_ip=198.51.100.7"]);
	assert.equal(v.world.dialled.length, 1);
});

test("where WebTransport is missing, fails or hangs, the same host is dialled by WebSocket", async () => {
	const wss = "wss://relay.example:8443/wt?client_ip=198.51.100.7";
	for (const dial of [null, () => Promise.reject(new Error("no")), () => new Promise<never>(() => {})]) {
		const v = await new Volunteer().start();
		v.world.webTransport = dial;
		const [peer] = await v.match({ relayURL: "https://relay.example:8443/wt" });
		peer?.connect().receive(bytes(3));
		await v.pass(5 * SECOND);
		assert.deepEqual(v.world.dialled, [wss]);
		assert.equal(v.counted.bytes, 3);
	}
});

test("a client that never comes is waited for 20 s", async () => {
	const v = await new Volunteer({ maxClients: 1 }).start();
	const [peer] = await v.match({});
	await v.pass(19 * SECOND);
	assert.equal(v.state, "full");
	await v.pass(2 * SECOND);
	assert.deepEqual([v.state, peer?.connectionState], ["polling nobody-yet", "closed"]);
	assert(v.world.carriers.every((c) => c.readyState === 3));
	assert.equal(v.counted.people, 0);
});

test("a connection that fails ends its session at once", async () => {
	const v = await new Volunteer({ maxClients: 1 }).start();
	const [peer] = await v.match({});
	peer?.fail();
	await v.pass(0);
	assert.equal(v.state, "polling nobody-yet");
});

test("a connection that fails while the relay is dialled says nothing about the relay", async () => {
	const v = await new Volunteer().start();
	v.world.webSocket = () => new Promise(() => {});
	const [peer] = await v.match({});
	peer?.connect();
	await v.pass(SECOND);
	peer?.fail();
	await v.pass(0);
	assert.equal(v.state, "polling");
});

test("a network to which nobody gets through asks less often", async () => {
	const v = await new Volunteer({ maxClients: 1 }).start();
	for (let i = 0; i < 4; i++) {
		await v.match({});
		await v.pass(21 * SECOND);
	}
	const polls = v.world.polls.length;
	await v.pass(90 * SECOND);
	assert.equal(v.world.polls.length, polls);
});

test("a client that is gone is not waited for", async () => {
	const v = await new Volunteer({ maxClients: 1 }).start();
	v.world.taken = false;
	await v.match({});
	assert.deepEqual([v.state, v.world.dialled], ["polling nobody-yet", []]);
});

test("a second channel is closed", async () => {
	const v = await new Volunteer().start();
	const [peer] = await v.match({});
	const first = peer?.connect();
	const second = peer?.connect();
	await v.pass(0);
	assert.deepEqual([first?.readyState, second?.readyState], ["open", "closed"]);
});

test("a channel that opens after it is announced is served as well", async () => {
	const v = await new Volunteer().start();
	const [peer] = await v.match({});
	const channel = new FakeChannel();
	peer?.ondatachannel?.({ channel });
	await v.pass(SECOND);
	assert.equal(v.snapshot.connected, 0);
	channel.open();
	await v.pass(0);
	assert.equal(v.snapshot.connected, 1);
});

test("the answer waits for a STUN server, and a little for others", async () => {
	const v = await new Volunteer().start();
	const local = CHROMIUM.replace(/^a=candidate:[56].*\r\n/gm, "");
	v.world.gathers = false;
	v.world.description = local;
	v.world.clients.push({});
	await v.pass(31 * SECOND);
	const peer = v.world.peers.at(-1);
	assert(peer?.remote);
	v.world.clock.now();
	peer.found(CHROMIUM, false);
	await v.pass(199);
	assert.equal(v.world.answers.length, 0);
	await v.pass(1);
	assert.equal(v.world.answers.length, 1);
});

test("gathering has a limit, after which there is an answer or none", async () => {
	for (const [description, answers] of [
		[CHROMIUM.replace(/^.*srflx.*\r\n/m, ""), 1],
		[CHROMIUM.replace(/^a=candidate:[56].*\r\n/gm, ""), 0],
	] as const) {
		const v = await new Volunteer().start();
		v.world.gathers = false;
		v.world.description = description;
		v.world.clients.push({});
		await v.pass(31 * SECOND + 3700);
		assert.equal(v.world.answers.length, answers);
	}
});

test("without candidates nobody is asked for, until a probe finds some", async () => {
	const v = new Volunteer();
	v.world.description = CHROMIUM.replace(/^a=candidate:[56].*\r\n/gm, "");
	await v.start();
	assert.equal(v.state, "polling no-candidates");
	await v.pass(9 * MINUTE);
	assert.deepEqual([v.world.polls, v.world.probes], [[], 0]);
	v.world.description = CHROMIUM;
	await v.pass(2 * MINUTE);
	assert.equal(v.state, "polling nobody-yet");
});

test("a session without candidates has the network tested", async () => {
	const v = await new Volunteer().start();
	v.world.description = CHROMIUM.replace(/^a=candidate:[56].*\r\n/gm, "");
	v.world.clients.push({});
	await v.pass(40 * SECOND);
	assert.equal(v.state, "polling no-candidates");
	assert.deepEqual(v.world.answers, []);
	const polls = v.world.polls.length;
	await v.pass(5 * MINUTE);
	assert.equal(v.world.polls.length, polls);
	v.world.description = CHROMIUM;
	await v.pass(6 * MINUTE);
	assert.equal(v.state, "polling nobody-yet");
});

test("without WebRTC nobody is asked for", async () => {
	const v = new Volunteer();
	v.world.webRTC = false;
	await v.start();
	await v.pass(HOUR);
	assert.equal(v.state, "polling no-webrtc");
	assert.deepEqual(v.world.polls, []);
	v.world.webRTC = true;
	v.engine.retry();
	await v.pass(0);
	assert.equal(v.state, "polling");
});

test("a restricted network is known by its probe, and stated", async () => {
	const v = new Volunteer();
	v.world.reachable = false;
	await v.start();
	assert.equal(v.state, "starting");
	await v.pass(21 * SECOND);
	assert.deepEqual([v.state, v.snapshot.nat], ["polling restricted", "restricted"]);
	assert.equal(v.world.polls[0]?.NAT, "restricted");
	assert(v.world.peers.every((p) => p.connectionState === "closed"));
});

test("a probe that fails says nothing, and is made again", async () => {
	const v = new Volunteer();
	v.world.probeThere = false;
	await v.start();
	assert.deepEqual([v.snapshot.nat, v.world.polls[0]?.NAT], ["unknown", "unknown"]);
	v.world.probeThere = true;
	await v.pass(11 * MINUTE);
	assert.equal(v.snapshot.nat, "unrestricted");
	v.world.probeThere = false;
	await v.pass(DAY + HOUR);
	assert(v.world.probes >= 3);
	assert.equal(v.snapshot.nat, "unrestricted");
});

test("the network is tested each day, and when it changes", async () => {
	const v = await new Volunteer().start();
	await v.pass(23 * HOUR);
	assert.equal(v.world.probes, 1);
	await v.pass(2 * HOUR);
	assert.equal(v.world.probes, 2);
	v.world.reachable = false;
	v.world.become({}, true);
	await v.pass(0);
	assert.deepEqual([v.world.probes, v.snapshot.nat, v.state], [3, "unknown", "starting"]);
	await v.pass(21 * SECOND);
	assert.equal(v.snapshot.nat, "restricted");
});

test("three restricted clients in a row who do not get through show that we are restricted", async () => {
	const v = await new Volunteer({ maxClients: 1 }).start();
	const fail = async (nat: string) => {
		await v.match({ nat });
		await v.pass(21 * SECOND);
	};
	await fail("restricted");
	await fail("restricted");
	await v.serve().then((c) => c.close());
	await v.pass(SECOND);
	await fail("restricted");
	await fail("unrestricted");
	await fail("restricted");
	assert.equal(v.snapshot.nat, "unrestricted");
	await fail("restricted");
	assert.deepEqual([v.snapshot.nat, v.state], ["restricted", "polling restricted"]);
});

test("retry tests the network and asks at once", async () => {
	const v = new Volunteer();
	v.world.brokerThere = false;
	await v.start();
	await v.pass(10 * MINUTE);
	v.world.brokerThere = true;
	const [polls, { probes }] = [v.world.polls.length, v.world];
	v.engine.retry();
	await v.pass(0);
	assert.deepEqual([v.world.polls.length, v.world.probes], [polls + 1, probes + 1]);
});

test("the month's budget holds and begins anew", async () => {
	const v = await new Volunteer({ monthlyBudget: 1_000_000 }).start(900_000);
	const channel = await v.serve();
	channel.receive(bytes(60_000));
	await v.pass(3 * SECOND);
	assert.deepEqual([v.state, v.snapshot.connected], ["polling", 1]);
	channel.receive(bytes(60_000));
	await v.pass(3 * SECOND);
	assert.deepEqual([v.state, v.snapshot.connected, v.world.carriers[0]?.readyState], ["paused budget", 0, 3]);
	assert.equal(v.counted.bytes, 120_000);
	await v.pass(2 * DAY);
	assert.equal(v.state, "paused budget");
	await v.pass(2 * DAY);
	assert.match(v.state, /^polling/);
});

test("a budget that is spent lets nothing begin", async () => {
	const v = await new Volunteer({ monthlyBudget: 1000 }).start(1000);
	assert.deepEqual([v.state, v.world.polls, v.world.probes], ["paused budget", [], 0]);
	v.engine.update({ ...v.settings, monthlyBudget: 0 });
	await v.pass(0);
	assert.equal(v.state, "polling");
});

test("the rate limit is one for all", async () => {
	const v = await new Volunteer({ rateLimit: 100_000, maxClients: 2 }).start();
	const channels = [await v.serve(), await v.serve()];
	const { bytes: before } = v.counted;
	for (const channel of channels) for (let i = 0; i < 1500; i++) channel.receive(bytes(1000));
	await v.pass(20 * SECOND);
	await v.engine.stop({ drain: false });
	const sent = v.counted.bytes - before;
	assert(sent > 1_900_000 && sent < 2_200_000, `${sent} bytes`);
});

test("fewer people are allowed: those who are there stay", async () => {
	const v = await new Volunteer({ maxClients: 2 }).start();
	await v.serve();
	await v.serve();
	v.engine.update({ ...v.settings, maxClients: 1 });
	await v.pass(0);
	assert.deepEqual([v.state, v.snapshot.connected], ["full", 2]);
	v.engine.update({ ...v.settings, maxClients: 5 });
	assert.equal(v.state, "polling");
});

test("a listener hears of changes only, and the last it hears is so", async () => {
	const v = await new Volunteer().start();
	await v.pass(HOUR);
	const channel = await v.serve();
	channel.receive(bytes(100));
	await v.pass(SECOND);
	channel.close();
	await v.pass(MINUTE);
	for (let i = 1; i < v.told.length; i++) assert.notDeepEqual(v.told[i], v.told[i - 1]);
	assert.deepEqual(v.told.at(-1), v.snapshot);
});

test("three hundred clients leave nothing behind", async () => {
	const v = await new Volunteer().start();
	v.world.nextPoll = 1;
	for (let i = 0; i < 300; i++) {
		const channel = await v.serve();
		channel.receive(bytes(10));
		channel.close();
		await v.pass(0);
	}
	await v.pass(MINUTE);
	assert.deepEqual(v.counted, { people: 300, bytes: 3000 });
	assert(v.world.clock.waiting < 10, `${v.world.clock.waiting} timers`);
	assert(v.world.peers.every((p) => p.connectionState === "closed"));
	assert(v.world.carriers.every((c) => c.readyState === 3));
});
