// Takes pictures of the gallery (ui/gallery.ts) in a headless Chromium, and looks for what is wrong with each page: findings of axe,
// refusals of the content security policy, errors, contents wider than the window. Exits with 1 if anything is.
//
//	node screenshots.mjs [folder]
//
// The browser is $CHROMIUM, or "chromium" in the path.

import { mkdir, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join } from "node:path";
import { build } from "esbuild";
import { page as readPage } from "./build/page.mjs";
import { launch } from "./devtools.mjs";

const folder = process.argv[2] ?? "dist/screenshots";
const here = import.meta.dirname;

/** All of it must be over by then, in ms: a browser that hangs must not hold up who waits for it. */
const deadline = 300_000;

/** The policy of the extensions (their manifests), and of it only what the gallery needs to load its words. */
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'";

const states = ["off", "ready", "helping", "restricted", "error"];
const styles = [
	{ style: "light", theme: "light", lang: "en" },
	{ style: "dark", theme: "dark", lang: "en" },
	{ style: "rtl", theme: "light", lang: "ar" },
];

/** What is shown: name of the file, query of the gallery, width of the window, and what the visitor's system is said to prefer. */
const pages = [
	...[360, 320].flatMap((width) =>
		styles.flatMap(({ style, ...look }) =>
			states.map((state) => page(`popup-${state}-${style}-${width}`, { state, width, ...look })),
		),
	),
	...["starting", "full", "draining", "paused", "budget"].map((state) => page(`popup-${state}-light-360`, { state })),
	...["light", "dark"].map((theme) => page(`popup-settings-${theme}-360`, { state: "restricted", theme, open: "" })),
	...["de", "es", "fa", "ru", "zh-CN", "ar", "tr"].map((lang) =>
		page(`popup-settings-${lang}-320`, { state: "restricted", lang, open: "", width: 320 }),
	),
	...["de", "es", "fa", "ru", "zh-CN", "tr"].map((lang) =>
		page(`popup-helping-${lang}-320`, { state: "helping", lang, width: 320 }),
	),
	page("popup-helping-contrast-360", { state: "helping", forced: "active" }),
	page("popup-helping-light-1024", { state: "helping", width: 1024 }),
	...styles.flatMap(({ style, ...look }) =>
		["off", "helping", "restricted"].map((state) =>
			page(`badge-${state}-${style}-320`, { state, kind: "badge", width: 320, ...look }),
		),
	),
	page("badge-helping-light-640", { state: "helping", kind: "badge", width: 640 }),
];

function page(name, { width = 360, theme = "light", forced = "none", lang = "en", kind = "popup", ...rest }) {
	return { name, width, theme, forced, query: new URLSearchParams({ lang, kind, ...rest }).toString() };
}

/** Serves the gallery on loopback; resolves with its address and a function that ends it. */
async function serve() {
	const { outputFiles } = await build({
		entryPoints: [join(here, "ui/gallery.ts")],
		bundle: true,
		format: "esm",
		target: ["chrome116", "firefox128"],
		write: false,
	});
	const types = {
		".html": "text/html",
		".css": "text/css",
		".js": "text/javascript",
		".json": "application/json",
		".svg": "image/svg+xml",
	};
	const server = createServer(async (request, response) => {
		const path = new URL(request.url, "http://127.0.0.1").pathname;
		const type = types[extname(path)];
		try {
			if (!type || path.includes("..")) throw new Error("no such file");
			const file = path.startsWith("/_locales/") ? path : join("ui", path);
			const made = { "/gallery.js": () => outputFiles[0].contents, "/gallery.html": () => readPage(file) };
			const body = (await made[path]?.()) ?? (await readFile(join(here, file)));
			response.writeHead(200, { "content-type": type, "content-security-policy": policy }).end(body);
		} catch {
			response.writeHead(404).end();
		}
	});
	await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
	return { url: `http://127.0.0.1:${server.address().port}/gallery.html`, close: () => server.close() };
}

/** Shows one page, takes its picture, and returns what is wrong with it. */
async function look(browser, url, axe, { name, width, theme, forced, query }) {
	const { targetId } = await browser.send("Target.createTarget", { url: "about:blank" });
	const { sessionId } = await browser.send("Target.attachToTarget", { targetId, flatten: true });
	const send = (method, params) => browser.send(method, params, sessionId);
	const wrong = [];
	const listener = (message) => {
		if (message.sessionId !== sessionId) return;
		if (message.method === "Runtime.exceptionThrown") wrong.push(message.params.exceptionDetails.exception?.description);
		if (message.method === "Log.entryAdded") wrong.push(message.params.entry.text);
	};
	browser.listeners.add(listener);
	const metrics = (height) => send("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 2, mobile: false });
	const evaluate = async (expression) => {
		const { result, exceptionDetails } = await send("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
		if (exceptionDetails) throw new Error(`${name}: ${exceptionDetails.exception?.description ?? exceptionDetails.text}`);
		return result.value;
	};
	await Promise.all(["Page.enable", "Runtime.enable", "Log.enable"].map((method) => send(method)));
	await metrics(600);
	const features = { "prefers-color-scheme": theme, "forced-colors": forced, "prefers-reduced-motion": "reduce" };
	await send("Emulation.setEmulatedMedia", { features: Object.entries(features).map(([name, value]) => ({ name, value })) });
	await send("Page.navigate", { url: `${url}?${query}` });
	const height = await evaluate(`new Promise((done) => {
		const look = () => (document.querySelector("main")?.firstChild ? done(document.documentElement.scrollHeight) : setTimeout(look, 20));
		look();
	})`);
	await metrics(height);
	const tooWide = await evaluate("document.documentElement.scrollWidth - innerWidth");
	if (tooWide > 0) wrong.push(`${tooWide} px wider than the window`);
	await evaluate(axe);
	const findings = await evaluate(`axe.run({ resultTypes: ["violations"] }).then(({ violations }) =>
		violations.map(({ id, help, nodes }) => id + ": " + help + " at " + nodes.map((node) => node.target.join(" ")).join(", ")))`);
	wrong.push(...findings);
	const { data } = await send("Page.captureScreenshot", { format: "png" });
	await writeFile(join(folder, `${name}.png`), data, "base64");
	browser.listeners.delete(listener);
	await browser.send("Target.closeTarget", { targetId });
	return wrong.map((text) => `${name}: ${text}`);
}

await mkdir(folder, { recursive: true });
const axe = await readFile(join(here, "node_modules/axe-core/axe.min.js"), "utf8");
const server = await serve();
const browser = await launch();
const watchdog = setTimeout(() => browser.close(), deadline);
const wrong = [];
try {
	for (const entry of pages) wrong.push(...(await look(browser, server.url, `${axe};0`, entry)));
} finally {
	clearTimeout(watchdog);
	await browser.close();
	server.close();
}
for (const text of wrong) console.error(text);
console.log(`${pages.length} pages, ${wrong.length} findings, pictures in ${folder}`);
process.exitCode = wrong.length > 0 ? 1 : 0;
