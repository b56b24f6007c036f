import type { Trouble, View } from "../core/types.ts";
import type { Key } from "./words.ts";

/** How the state looks: its colour, and which sign stands before it. */
export type Tone = "off" | "wait" | "good" | "warn" | "bad";

/** What the head of the view says. */
export interface State {
	tone: Tone;
	/** The message for the headline; null where it tells how many people are helped. */
	title: Key | null;
	text: Key;
	/** Whether trying again may help. */
	retry: boolean;
}

/** What is said of each trouble. Those that keep everybody away are told as an error. */
const troubles: Readonly<Record<Trouble, { text: Key; error: boolean }>> = {
	"no-webrtc": { text: "trouble_no_webrtc", error: true },
	"broker-unreachable": { text: "trouble_broker_unreachable", error: true },
	"no-candidates": { text: "trouble_no_candidates", error: true },
	"relay-unreachable": { text: "trouble_relay_unreachable", error: true },
	restricted: { text: "trouble_restricted", error: false },
	"nobody-yet": { text: "trouble_nobody_yet", error: false },
};

/** What there is to say of a view: people who are being helped come first, then what keeps them away. */
export function stateOf({ snapshot: { phase, pause, trouble, connected } }: View): State {
	if (phase === "off") return { tone: "off", title: "title_off", text: "text_off", retry: false };
	if (phase === "draining") return { tone: "warn", title: "title_draining", text: "text_draining", retry: false };
	if (phase === "paused") return { tone: "warn", title: "title_paused", text: `pause_${pause ?? "offline"}`, retry: false };
	if (connected > 0) return { tone: "good", title: null, text: phase === "full" ? "text_full" : "text_helping", retry: false };
	if (trouble && troubles[trouble].error)
		return { tone: "bad", title: "title_trouble", text: troubles[trouble].text, retry: true };
	if (phase === "starting") return { tone: "wait", title: "title_starting", text: "text_starting", retry: false };
	return { tone: "wait", title: "title_ready", text: trouble ? troubles[trouble].text : "text_ready", retry: false };
}
