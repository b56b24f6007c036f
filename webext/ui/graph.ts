import { type Kit, type Part, setAttributes, setText } from "./kit.ts";

/** Height in percent of the bar of an hour without traffic, so that the axis is seen. */
const floor = 3;

/** The traffic of the last 24 hours as bars, with their sum, and all of it in words for those who don't see it. */
export function graph({ find, all, words }: Kit): Part {
	const bars = all("rect");
	const picture = find("[role=img]");
	const sum = find("#sum");
	return ({ totals: { hours } }) => {
		const total = words.bytes(hours.reduce((a, b) => a + b));
		const peak = Math.max(...hours);
		bars.forEach((bar, i) => {
			const bytes = hours[i];
			const height = bytes ? Math.max(floor, (100 * bytes) / peak) : floor;
			setAttributes(bar, { class: bytes ? "some" : "none", height: `${height}%`, y: `${100 - height}%` });
		});
		setText(sum, total);
		setAttributes(picture, { "aria-label": words.say("graph", total, words.bytes(peak)) });
	};
}
