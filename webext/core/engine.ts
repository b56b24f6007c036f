import { MonthBudget, RateLimit } from "./budget.ts";
import type { Config } from "./config.ts";
import { CLIENT_MATCH, clientsReported, decodePollResponse, encodePollRequest, type PollResponse } from "./messages.ts";
import { NATState, probe } from "./nat.ts";
import { Obstacle } from "./peer.ts";
import type { Conditions, Ports } from "./ports.ts";
import { Schedule, spread } from "./schedule.ts";
import { Session } from "./session.ts";
import type { Delta, NAT, Pause, Phase, SessionState, Settings, Snapshot, Trouble } from "./types.ts";
import { onAbort, within } from "./wait.ts";

/** A whole poll, ms: the broker holds it for 10 s, deployed proxies wait 30 s for the response (spec section 3.1). */
const POLL = 40e3;

/** How long sessions that are to end by themselves may take, ms. A page is loaded by then, and a client finds another volunteer. */
const DRAIN = 5 * 60e3;

/** How often the rate is measured while there are sessions, ms, and how many times before the counters are told. */
const TICK = 2e3;
const TICKS_PER_DELTA = 5;

/** How often the conditions are looked at while they are not met, ms: a month may be over. */
const RECHECK = 10 * 60e3;

/** So many polls in a row fail before the broker counts as unreachable. */
const UNREACHABLE = 2;

/** Nobody for so long, ms, is worth a word. */
const LONELY = 3600e3;

/** Who hears of the engine. Neither may throw. */
export interface Listener {
	/** What the engine tells of itself is not what it was. */
	snapshot(snapshot: Snapshot): void;
	/** Something is to be added to the counters. */
	delta(delta: Delta): void;
}

/** Asks the broker for people and serves them, within the volunteer's settings. */
export class Engine {
	readonly #id: string;
	readonly #limit = new RateLimit();
	readonly #month = new MonthBudget();
	readonly #schedule = new Schedule();
	readonly #nat = new NATState();
	readonly #sessions = new Set<Session>();

	/** start's */
	#settings!: Settings;
	#conditions: Conditions = { charging: null, metered: null, online: true };
	/** Aborted when the engine is switched off; null while it is. */
	#life: AbortController | null = null;
	/** Aborted to end the poll or the probe under way. */
	#step = new AbortController();
	/** Ends the sleep of the loop. */
	#wake = () => {};
	#draining = false;
	/** Ends the wait for the end of draining. */
	#undrain = () => {};

	/** When the last poll was over, and the pause that is to follow it. */
	#polled = 0;
	#interval = 0;
	/** When the broker last answered, and somebody last came: ms since 1970, 0 for never. */
	#lastPoll = 0;
	#lastPerson = 0;
	/** What stood in the way of the last client, or of a probe. */
	#trouble: Trouble | null = null;

	#seq = 0;
	#pending = { people: 0, up: 0, down: 0 };
	/** Bytes since the last tick, and when that was. */
	#moved = 0;
	#ticked = 0;
	#rate = 0;
	#told = "";

	constructor(
		private readonly config: Config,
		private readonly ports: Ports,
		private readonly listener: Listener,
	) {
		this.#id = base64(ports.random(16));
	}

	/**
	 * Begins, or goes on if it is draining. settings come from normalise; used is how many bytes have been relayed this calendar
	 * month (Totals.month), of which the engine itself knows nothing beyond its own.
	 */
	start(settings: Settings, used = 0): void {
		this.#draining = false;
		this.#undrain();
		this.#month.set(used, this.#now());
		this.#settings = settings;
		if (!this.#life) this.#begin();
		this.update(settings);
	}

	/** Takes other settings. `enabled` is start's and stop's matter and not looked at. */
	update(settings: Settings): void {
		this.#settings = settings;
		this.#limit.set(settings.rateLimit, this.#now());
		this.#review();
	}

	/** Ends: at once, or with drain when the sessions have ended by themselves, at most five minutes later. Resolves when it is off. */
	stop({ drain }: { drain: boolean }): Promise<void> {
		const life = this.#life?.signal;
		if (!life) return Promise.resolve();
		const off = new Promise<void>((resolve) => onAbort(life, resolve));
		if (drain && this.#sessions.size) {
			this.#draining = true;
			this.#undrain();
			this.#undrain = this.ports.clock.after(DRAIN, () => this.#end());
			this.#review();
		} else this.#end();
		return off;
	}

	/** Tests the network again, and asks the broker at once. */
	retry(): void {
		if (!this.#life) return;
		this.#nat.moved();
		this.#schedule.reset();
		this.#trouble = null;
		this.#interval = 0;
		this.#step.abort();
		this.#review();
	}

	snapshot(): Snapshot {
		const phase = this.#phase();
		return {
			phase,
			pause: phase === "paused" ? this.#pause() : null,
			trouble: ["starting", "polling", "full"].includes(phase) ? this.#why() : null,
			nat: this.#nat.kind,
			connected: this.#connected(),
			rate: Math.round(this.#rate),
			lastPoll: this.#lastPoll,
		};
	}

	#now(): number {
		return this.ports.clock.now();
	}

	#begin(): void {
		const life = new AbortController();
		this.#life = life;
		this.#interval = 0;
		const unwatch = this.ports.conditions((now, network) => {
			this.#conditions = now;
			if (network) this.retry();
			else this.#review();
		});
		onAbort(life.signal, unwatch);
		void this.#loop(life.signal);
	}

	#end(): void {
		this.#life?.abort();
		this.#life = null;
		this.#draining = false;
		this.#undrain();
		this.#step.abort();
		this.#cut();
		this.#tell();
	}

	/** Does one thing after another. What it does next depends on nothing but the state, so that whoever changes that only wakes it. */
	async #loop(life: AbortSignal): Promise<void> {
		while (!life.aborted) {
			const now = this.#now();
			const rest = this.#polled + this.#interval - now; // more than the interval if the clock was set back
			if (this.#pause() || this.#draining || this.#sessions.size >= this.#settings.maxClients) await this.#sleep(life, RECHECK);
			else if (this.#nat.due(now)) await this.#probe();
			else if (this.#trouble === "no-webrtc" || this.#trouble === "no-candidates") await this.#sleep(life, RECHECK);
			else if (rest > 0 && rest <= this.#interval) await this.#sleep(life, rest);
			else await this.#poll();
		}
	}

	#sleep(life: AbortSignal, ms: number): Promise<unknown> {
		const woken = new Promise<boolean>((resolve) => {
			this.#wake = () => resolve(true);
		});
		return within(this.ports.clock, life, ms, () => woken, true).catch(() => {});
	}

	/** Something has changed on which it depends what is done next. */
	#review(): void {
		const pause = this.#pause();
		if (pause || this.#draining) this.#step.abort();
		if (pause === "budget" || pause === "metered") this.#cut();
		this.#wake();
		this.#tell();
	}

	/** Finds out what kind of NAT the network has. */
	async #probe(): Promise<void> {
		const { signal } = (this.#step = new AbortController());
		let found: NAT | null = null;
		let trouble: Trouble | null = null;
		try {
			found = await probe(this.config, this.ports, signal);
		} catch (error) {
			if (signal.aborted) return;
			if (error instanceof Obstacle) trouble = error.message;
		}
		this.#nat.found(found, this.#now());
		this.#trouble = trouble;
		this.#tell();
	}

	/** Asks the broker for a client, once. */
	async #poll(): Promise<void> {
		const { ports } = this;
		const { signal } = (this.#step = new AbortController());
		const sid = base64(ports.random(16));
		const request = encodePollRequest({
			Sid: sid,
			Type: this.config.type,
			NAT: this.#nat.kind,
			Clients: clientsReported(this.#sessions.size),
			AcceptedRelayPattern: this.config.relayPattern,
		});
		const url = new URL("proxy", this.config.brokerURL).href;
		try {
			const response = decodePollResponse(await within(ports.clock, signal, POLL, (s) => ports.post(url, request, s)));
			this.#interval = this.#schedule.answered(response.nextPoll, this.#nat.kind);
			this.#lastPoll = this.#now();
			if (response.status === CLIENT_MATCH) void this.#serve(sid, response);
		} catch {
			if (signal.aborted) return;
			this.#interval = this.#schedule.failed();
		}
		this.#polled = this.#now();
		this.#interval = spread(this.#interval, (ports.random(1)[0] ?? 0) / 256);
		this.#tell();
	}

	async #serve(sid: string, match: PollResponse): Promise<void> {
		let nobody = true;
		const sent = (up: number, down: number) => {
			this.#pending.up += up;
			this.#pending.down += down;
			this.#moved += up + down;
			if (!nobody) return;
			nobody = false;
			this.#pending.people++;
			this.#flush();
		};
		const { config, ports } = this;
		const changed = (state: SessionState) => {
			if (state === "connecting") this.#lastPerson = this.#now();
			if (state === "serving") this.#trouble = null;
			this.#tell();
		};
		const session = new Session({ config, ports, limit: this.#limit, sent, changed }, sid, match);
		this.#sessions.add(session);
		if (!this.#ticked) this.#tick();
		await session.run();
		if (!this.#sessions.delete(session)) return; // we have ended it
		this.#note(session);
		this.#flush();
		if (this.#draining && !this.#sessions.size) this.#end();
		else this.#review();
	}

	/** Learns from the outcome of a session. */
	#note({ match, state, trouble }: Session): void {
		this.#trouble = trouble ?? this.#trouble;
		if (trouble === "no-candidates") this.#nat.moved(); // a probe tells whether it is so for everybody
		if (state === "refused") return;
		const opened = state !== "unopened";
		this.#schedule.connection(opened);
		this.#nat.connection(opened, match.nat);
	}

	/** Ends all sessions now. */
	#cut(): void {
		for (const session of this.#sessions) session.close();
		this.#sessions.clear();
		this.#rate = 0;
		this.#flush();
	}

	/** Measures the rate, tells the counters and looks at the budget, as long as there are sessions. */
	#tick(n = 1): void {
		const { clock } = this.ports;
		this.#ticked = clock.now();
		clock.after(TICK, () => {
			const now = clock.now();
			const rate = (this.#moved * 1000) / Math.max(now - this.#ticked, 1);
			this.#rate = this.#sessions.size && (this.#rate + rate) / 2;
			this.#month.add(this.#moved, now);
			this.#moved = 0;
			if (n % TICKS_PER_DELTA === 0) this.#flush();
			if (this.#pause()) this.#review();
			this.#tell();
			if (this.#sessions.size) this.#tick(n + 1);
			else this.#ticked = 0;
		});
	}

	/** Tells the counters what they have not been told. */
	#flush(): void {
		const { people, up, down } = this.#pending;
		if (!people && !up && !down) return;
		this.#pending = { people: 0, up: 0, down: 0 };
		this.listener.delta({ engine: this.#id, seq: ++this.#seq, at: this.#now(), people, up, down });
	}

	/** Tells the listener what has changed. */
	#tell(): void {
		const snapshot = this.snapshot();
		const text = JSON.stringify(snapshot);
		if (text === this.#told) return;
		this.#told = text;
		this.listener.snapshot(snapshot);
	}

	#phase(): Phase {
		if (!this.#life) return "off";
		if (this.#draining) return "draining";
		if (this.#pause()) return "paused";
		if (this.#sessions.size >= this.#settings.maxClients) return "full";
		return this.#nat.probed ? "polling" : "starting";
	}

	/** Which of the volunteer's conditions is not met. */
	#pause(): Pause | null {
		const { charging, metered, online } = this.#conditions;
		const { monthlyBudget, onlyCharging, onlyUnmetered } = this.#settings;
		if (!online) return "offline";
		if (onlyCharging && charging === false) return "battery";
		if (onlyUnmetered && metered) return "metered";
		return this.#month.spent(monthlyBudget, this.#now()) ? "budget" : null;
	}

	/** Why nobody comes. */
	#why(): Trouble | null {
		if (this.#trouble === "no-webrtc") return this.#trouble;
		if (this.#schedule.failures >= UNREACHABLE) return "broker-unreachable";
		if (this.#trouble) return this.#trouble;
		if (this.#connected()) return null;
		if (this.#nat.kind === "restricted") return "restricted";
		const lonely = !this.#sessions.size && this.#now() - this.#lastPerson > LONELY;
		return this.#lastPoll && this.#nat.probed && lonely ? "nobody-yet" : null;
	}

	/** Sessions with an open channel. */
	#connected(): number {
		return [...this.#sessions].filter(({ state }) => state === "connecting" || state === "serving").length;
	}
}

const base64 = (bytes: Uint8Array): string => btoa(String.fromCharCode(...bytes)).replace(/=+$/, "");
