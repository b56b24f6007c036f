import type { Kit } from "./kit.ts";

/** One of six arms of the flake in a square of 24, bent as by wind. */
const arm = "M12 12C12 9 12.6 6.2 15.4 3.6";

/** The flake, in the colour of the text around it. Decoration only: the name stands beside it. */
export function flake({ draw }: Kit): SVGElement {
	const arms = [0, 60, 120, 180, 240, 300].map((angle) => draw("path", { d: arm, transform: `rotate(${angle} 12 12)` }));
	return draw("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, ...arms);
}
