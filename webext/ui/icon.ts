const svgNamespace = "http://www.w3.org/2000/svg";

/** One of six arms of the flake in a square of 24, bent as by wind. */
const arm = "M12 12C12 9 12.6 6.2 15.4 3.6";

/** The flake, in the colour of the text around it. Decoration only: the name stands beside it. */
export function flake(document: Document): SVGElement {
	const svg = document.createElementNS(svgNamespace, "svg");
	svg.setAttribute("viewBox", "0 0 24 24");
	svg.setAttribute("aria-hidden", "true");
	for (let angle = 0; angle < 360; angle += 60) {
		const path = document.createElementNS(svgNamespace, "path");
		path.setAttribute("d", arm);
		path.setAttribute("transform", `rotate(${angle} 12 12)`);
		svg.append(path);
	}
	return svg;
}
