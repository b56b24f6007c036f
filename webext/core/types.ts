// The words that the parts of the extension use between each other: what a volunteer sets, what the engine tells of itself, and
// what the user interface shows and asks for. Nothing here runs.

/** What a volunteer chooses. Kept in the browser's storage; a missing or unknown value is the default's (see defaults in settings.ts). */
export interface Settings {
	/** Switched on by the volunteer. False until the first click. */
	enabled: boolean;
	/** How many people at once, 1 to 5. */
	maxClients: number;
	/** Bytes a second, both directions of all people together; 0: no limit. */
	rateLimit: number;
	/** Bytes a calendar month, both directions; 0: no limit. */
	monthlyBudget: number;
	/** Only while the device charges, where the browser tells (Battery Status). */
	onlyCharging: boolean;
	/** Only on networks that are not metered and without "save data", where the browser tells (Network Information). */
	onlyUnmetered: boolean;
	/** Go on when the last window is closed (optional permission "background", Chromium only). */
	background: boolean;
}

/** NAT kinds in the words of spec section 9.1. */
export type NAT = "unknown" | "restricted" | "unrestricted";

/**
 * What the engine does.
 *  - off: nothing, by the volunteer's choice
 *  - starting: finds out what this network can do (first probe)
 *  - polling: asks the broker for people; sessions may go on beside it
 *  - full: as many people as allowed; asks for no more
 *  - draining: asks for no more, and ends when the last session has ended or the limit is over
 *  - paused: the volunteer's own conditions are not met (see Pause)
 */
export type Phase = "off" | "starting" | "polling" | "full" | "draining" | "paused";

/** Which condition of the settings keeps it from polling. */
export type Pause = "battery" | "metered" | "budget" | "offline";

/** Why nobody comes, as far as is known; null when there is nothing to say. The first that holds, in this order. */
export type Trouble =
	| "no-webrtc" // the browser has no WebRTC, or it is switched off
	| "broker-unreachable" // polls fail: the censor's side of the line, a firewall, or the broker is away
	| "no-candidates" // no address that a stranger could reach: a VPN or an extension hides it
	| "relay-unreachable" // people came, but the bridge could not be reached
	| "restricted" // this NAT can only help some people
	| "nobody-yet"; // all is well, the broker has nobody for us

/** The life of one session, in the words of the outcomes and events of proxy/snowproxy. */
export type SessionState = "answering" | "unopened" | "connecting" | "serving" | "refused" | "unrelayed" | "served";

/** What the engine tells of itself. Complete in itself: a listener needs only the newest. */
export interface Snapshot {
	phase: Phase;
	pause: Pause | null;
	trouble: Trouble | null;
	nat: NAT;
	/** Sessions with an open data channel. */
	connected: number;
	/** Bytes a second now, averaged over some seconds, both directions. */
	rate: number;
	/** When the broker last answered a poll, in ms since 1970; 0: never. */
	lastPoll: number;
}

/** What the engine adds to the counters. `engine` is drawn at random for each engine and `seq` grows by one with each delta: whoever writes storage applies each once. */
export interface Delta {
	engine: string;
	seq: number;
	/** When, in ms since 1970. */
	at: number;
	/** People whose session ended or began to carry bytes since the last delta. A person counts once, when the first bytes flow. */
	people: number;
	/** Bytes from client to relay. */
	up: number;
	/** Bytes from relay to client. */
	down: number;
}

/** The counters as shown. */
export interface Totals {
	today: { people: number; bytes: number };
	/** The last seven days with today. */
	week: { people: number; bytes: number };
	month: { bytes: number };
	total: { people: number; bytes: number };
	/** When counting began, ms since 1970. */
	since: number;
	/** Bytes of each of the last 24 hours, oldest first, the last one running. */
	hours: number[];
}

/** What this browser can do: a switch for what it can't is not shown. */
export interface Capabilities {
	battery: boolean;
	metered: boolean;
	background: boolean;
	/** Kept beyond a restart; false in a sandboxed frame. */
	storage: boolean;
}

/** All that the user interface shows. */
export interface View {
	settings: Settings;
	snapshot: Snapshot;
	totals: Totals;
	capabilities: Capabilities;
}

/** What a volunteer asks for. */
export type Intent =
	| { do: "enable" }
	/** With drain, sessions end by themselves, within a limit; otherwise at once. */
	| { do: "disable"; drain: boolean }
	| { do: "set"; settings: Partial<Omit<Settings, "enabled">> }
	/** Test the network again, and ask the broker at once. */
	| { do: "retry" };

/**
 * What the user interface is given: it shows what `watch` hands it, and asks with `send`. The extension's popup reaches the
 * background by runtime messages, the badge its own page.
 */
export interface Backend {
	/** Calls show with the present view and on every change, until the returned function is called. */
	watch(show: (view: View) => void): () => void;
	/** Rejects with a plain Error if what was asked for could not be done. */
	send(intent: Intent): Promise<void>;
	/**
	 * Asks the browser for the optional permission "background", and tells whether it was given. Called in the handler of the
	 * click itself, as browsers demand, before `set {background: true}` is sent; without it that is sent at once.
	 */
	requestBackground?(): Promise<boolean>;
}
