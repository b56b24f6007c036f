import { maker, type Part, setAttribute, setText } from "./dom.ts";
import type { Words } from "./words.ts";

const svgNamespace = "http://www.w3.org/2000/svg";

/** How many bars there are: Totals.hours has one number for each. */
const hours = 24;

/** Height in percent of the bar of an hour without traffic, so that the axis is seen. */
const floor = 3;

/** The traffic of the last 24 hours as bars, with their sum, and all of it in words for those who don't see it. */
export function graph(document: Document, words: Words): Part {
	const make = maker(document);
	const svg = document.createElementNS(svgNamespace, "svg");
	svg.setAttribute("role", "img");
	const bars = Array.from({ length: hours }, (_, hour) => {
		const bar = document.createElementNS(svgNamespace, "rect");
		bar.setAttribute("x", `${((hour + 0.15) * 100) / hours}%`);
		bar.setAttribute("width", `${70 / hours}%`);
		bar.setAttribute("rx", "1.5");
		return bar;
	});
	svg.append(...bars);
	const sum = make("span");
	const axis = make("p", { class: "axis", "aria-hidden": "true" });
	axis.append(make("span", {}, words.hoursAgo(hours)), make("span", {}, words.hoursAgo(0)));
	const heading = make("h2", {}, make("span", {}, words.say("traffic")), sum);
	const node = make("section", { class: "graph" }, heading);
	node.append(svg, axis);
	return {
		node,
		show({ totals }) {
			const shown = totals.hours.slice(-hours);
			const total = shown.reduce((a, b) => a + b, 0);
			const peak = Math.max(...shown, 1);
			node.hidden = total === 0;
			bars.forEach((bar, i) => {
				const bytes = shown[i] ?? 0;
				const height = bytes > 0 ? Math.max(floor, (100 * bytes) / peak) : floor;
				setAttribute(bar, "class", bytes > 0 ? "some" : "none");
				setAttribute(bar, "height", `${height}%`);
				setAttribute(bar, "y", `${100 - height}%`);
			});
			setText(sum, words.bytes(total));
			setAttribute(svg, "aria-label", words.say("graph", words.bytes(total), words.bytes(peak)));
		},
	};
}
