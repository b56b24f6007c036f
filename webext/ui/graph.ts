import { type Kit, type Part, setAttributes, setText } from "./kit.ts";

/** How many bars there are: Totals.hours has one number for each. */
const hours = 24;

/** Height in percent of the bar of an hour without traffic, so that the axis is seen. */
const floor = 3;

/** The traffic of the last 24 hours as bars, with their sum, and all of it in words for those who don't see it. */
export function graph({ make, said, draw, words }: Kit): Part {
	const bars = Array.from({ length: hours }, (_, hour) =>
		draw("rect", { x: `${((hour + 0.15) * 100) / hours}%`, width: `${70 / hours}%`, rx: "1.5" }),
	);
	const svg = draw("svg", { role: "img" }, ...bars);
	const sum = make("span", {});
	const node = make("section", { class: "graph" }, make("h2", {}, said("span", "traffic"), sum), svg);
	return {
		node,
		show({ totals }) {
			const total = totals.hours.reduce((a, b) => a + b, 0);
			const peak = Math.max(...totals.hours);
			node.hidden = !total;
			bars.forEach((bar, i) => {
				const bytes = totals.hours[i];
				const height = bytes ? Math.max(floor, (100 * bytes) / peak) : floor;
				setAttributes(bar, { class: bytes ? "some" : "none", height: `${height}%`, y: `${100 - height}%` });
			});
			setText(sum, words.bytes(total));
			setAttributes(svg, { "aria-label": words.say("graph", words.bytes(total), words.bytes(peak)) });
		},
	};
}
