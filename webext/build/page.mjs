// Pages that show the view.
import { readFileSync } from "node:fs";

/** A page of the source tree, with the markup of the view in its template. */
export function page(name) {
	const text = (file) => readFileSync(new URL(`../${file}`, import.meta.url), "utf8");
	const view = text("ui/view.html").replace(/<!--[\s\S]*?-->/g, "");
	return text(name).replace("%VIEW%", view).replace(/\n\t*/g, "\n").replace(/\n+/g, "\n");
}
