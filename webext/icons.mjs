// Draws ui/icons/<size>.png from icon.svg, and <state>-<size>.png from <state>.svg for other states. The results are committed, so
// that a build needs no browser.
//
//	node icons.mjs

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { launch } from "./devtools.mjs";

const folder = join(import.meta.dirname, "ui/icons");

/** All of it must be over by then, in ms. */
const deadline = 60_000;

/** The sizes that browsers ask for: toolbar on plain and dense screens, list of extensions, store. */
const sizes = [16, 32, 48, 128];

const browser = await launch();
const watchdog = setTimeout(() => browser.close(), deadline);
try {
	const { targetId } = await browser.send("Target.createTarget", { url: "about:blank" });
	const { sessionId } = await browser.send("Target.attachToTarget", { targetId, flatten: true });
	const send = (method, params) => browser.send(method, params, sessionId);
	const { frameTree } = await send("Page.getFrameTree");
	await send("Emulation.setDefaultBackgroundColorOverride", { color: { r: 0, g: 0, b: 0, a: 0 } });
	for (const state of ["icon", "off", "helping"]) {
		const svg = await readFile(join(folder, `${state}.svg`), "utf8");
		const html = `<!doctype html><style>body { margin: 0 } svg { display: block; height: 100vh }</style>${svg}`;
		await send("Page.setDocumentContent", { frameId: frameTree.frame.id, html });
		for (const size of sizes) {
			await send("Emulation.setDeviceMetricsOverride", { width: size, height: size, deviceScaleFactor: 1, mobile: false });
			const { data } = await send("Page.captureScreenshot", { format: "png" });
			await writeFile(join(folder, state === "icon" ? `${size}.png` : `${state}-${size}.png`), data, "base64");
		}
	}
} finally {
	clearTimeout(watchdog);
	await browser.close();
}
