// The view with made-up states, for looking at it and for tests; not packaged.
// gallery.html?state=helping&lang=ar&theme=dark&kind=popup&open

import type { Backend, View } from "../core/types.ts";
import { type Sample, samples } from "./samples.ts";
import { mount } from "./view.ts";
import { fetchWords, type Messages } from "./words.ts";

const query = new URLSearchParams(location.search);
const theme = query.get("theme");
if (theme) force(theme);
const words = await fetchWords([query.get("lang") ?? "en"], async (locale) => {
	const response = await fetch(`_locales/${locale}/messages.json`);
	return (await response.json()) as Messages;
});
const sample = query.get("state") ?? "off";
const kind = query.get("kind") === "badge" ? "badge" : "popup";
mount(document.querySelector("main") ?? document.body, pretender(samples[sample as Sample] ?? samples.off), words, { kind });
if (query.has("open")) for (const details of document.querySelectorAll("details")) details.open = true;

/** A backend that does as it is told, and never has an opinion of its own. */
function pretender(view: View): Backend {
	let present = view;
	let listener = (_: View) => {};
	return {
		watch(show) {
			listener = show;
			show(present);
			return () => {
				listener = () => {};
			};
		},
		async send(intent) {
			const { settings, snapshot } = present;
			if (intent.do === "set") present = { ...present, settings: { ...settings, ...intent.settings } };
			if (intent.do === "enable") present = { ...samples.ready, settings: { ...settings, enabled: true } };
			if (intent.do === "disable") {
				const phase = intent.drain && snapshot.connected > 0 ? "draining" : "off";
				present = { ...present, settings: { ...settings, enabled: false }, snapshot: { ...snapshot, phase } };
			}
			listener(present);
		},
	};
}

/** Shows the page as if the visitor preferred theme. */
function force(theme: string): void {
	document.documentElement.style.colorScheme = theme;
	for (const sheet of document.styleSheets) {
		for (const rule of sheet.cssRules) {
			if (rule instanceof CSSMediaRule && rule.media.mediaText.includes("prefers-color-scheme")) {
				rule.media.mediaText = theme === "dark" ? "all" : "not all";
			}
		}
	}
}
