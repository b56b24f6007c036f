import type { View } from "../core/types.ts";
import type { Key } from "./words.ts";

/** How the state looks: grey, or blue, green, amber, red. */
export type Tone = "off" | "wait" | "good" | "warn" | "bad";

/** What the head of the view says: how it looks, the headline, and one or two sentences. A bad state may be better after another try. */
export type State = readonly [tone: Tone, title: Key | "title_helping", text: Key];

const starting: State = ["wait", "title_starting", "text_starting"];

/** What there is to say of a view: people who are being helped come first, then what keeps them away. */
export function stateOf({ settings, snapshot: { phase, pause, trouble, connected } }: View): State {
	// Switched on, the engine needs a moment to hear of it.
	if (phase === "off") return settings.enabled ? starting : ["off", "title_off", "text_off"];
	if (phase === "draining") return ["warn", "title_draining", "text_draining"];
	if (phase === "paused") return ["warn", "title_paused", `pause_${pause ?? "offline"}`];
	if (connected > 0) return ["good", "title_helping", phase === "full" ? "text_full" : "text_helping"];
	if (!trouble) return phase === "starting" ? starting : ["wait", "title_ready", "text_ready"];
	// The names of messages have no hyphens.
	const text = `trouble_${trouble.replace("-", "_")}` as Key;
	if (trouble === "restricted") return ["warn", "title_ready", text];
	if (trouble === "nobody-yet") return ["wait", "title_ready", text];
	return ["bad", "title_trouble", text];
}
