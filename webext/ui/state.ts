import type { Pause, View } from "../core/types.ts";
import type { Key } from "./words.ts";

/** How the state looks: grey, or blue, green, amber, red. */
export type Tone = "off" | "wait" | "good" | "warn" | "bad";

/** What the head of the view says: how it looks, the headline, and one or two sentences. A bad state may be better after another try. */
export type State = readonly [tone: Tone, title: Title, text: Key];

/** A headline is the message title_…; that of "helping" has plural forms. */
export type Title = "off" | "starting" | "ready" | "draining" | "paused" | "trouble" | "helping";

/** What there is to say of a view: people who are being helped come first, then what keeps them away. */
export function stateOf({ settings, snapshot: { phase, pause, trouble, connected } }: View): State {
	if (phase === "off" && !settings.enabled) return ["off", phase, "text_off"];
	if (phase === "draining") return ["warn", phase, "text_draining"];
	if (phase === "paused") return ["warn", phase, `pause_${pause as Pause}`];
	if (connected) return ["good", "helping", phase === "full" ? "text_full" : "text_helping"];
	// Switched on, the engine needs a moment to hear of it.
	if (phase === "off" || (phase === "starting" && !trouble)) return ["wait", "starting", "text_starting"];
	if (!trouble) return ["wait", "ready", "text_ready"];
	// The names of messages have no hyphens.
	const text = `trouble_${trouble.replace("-", "_")}` as Key;
	if (trouble === "restricted") return ["warn", "ready", text];
	if (trouble === "nobody-yet") return ["wait", "ready", text];
	return ["bad", "trouble", text];
}
