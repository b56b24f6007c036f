// Builds what volunteers get, in dist/: a folder and a zip for each target. The same source gives the same bytes.
//
//   node build.mjs [--test] [--outdir DIR] [--config FILE]
//
// --test builds for tests on this machine, in dist/test/ (see doc/webext.md). --outdir writes to DIR in place of dist.
// --config takes the network (build/network.mjs) from a JSON file; what it does not name is the public network's.
import { copyFileSync, cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { manifest, policy } from "./build/manifest.mjs";
import { ownNames } from "./build/names.mjs";
import { network, sourceVersion } from "./build/network.mjs";
import { tree, weigh, zip } from "./build/pack.mjs";
import { page } from "./build/page.mjs";
import { bundle } from "./build/scripts.mjs";

const here = dirname(fileURLToPath(import.meta.url));

/** The most that each may weigh, in bytes; doc/webext.md (Sizes) says where the figures come from. */
const limits = { badgeGzip: 15 << 10, package: 150 << 10 };

/** What each target is made of: its script, the most that this may weigh as it is and with gzip, and the files that are copied. */
const targets = {
	chromium: { script: "chromium/app.ts", most: [26_496, 11_648], files: { "offscreen.html": "chromium/offscreen.html" } },
	firefox: { script: "firefox/app.ts", most: [24 << 10, 11_008], files: {} },
	"firefox-mv2": { script: "firefox/app.ts", most: [24 << 10, 11_008], files: {} },
};

/** Reads the command line, builds, and prints what it weighs. Sets the exit status if that is too much. */
async function main() {
	const { values } = parseArgs({
		options: { test: { type: "boolean", default: false }, outdir: { type: "string" }, config: { type: "string" } },
	});
	const { test } = values;
	const version = sourceVersion();
	const config = network({ test, file: values.config, version });
	const dist = values.outdir ? resolve(values.outdir) : join(here, "dist", test ? "test" : "");
	mkdirSync(dist, { recursive: true });
	const names = ownNames(here);
	const rows = [];
	for (const target of Object.keys(targets)) {
		const dir = join(dist, target);
		rmSync(dir, { recursive: true, force: true });
		await buildExtension(target, dir, { version, test, names, config: { type: "webext", ...config } });
		rows.push(...weighExtension(target, dir));
	}
	const dir = join(dist, "badge");
	rmSync(dir, { recursive: true, force: true });
	await buildBadge(dir, { test, config: { type: "badge", ...config } });
	rows.push(...weighBadge(dir));
	for (const target of [...Object.keys(targets), "badge"]) {
		const archive = zip(join(dist, target));
		writeFileSync(join(dist, `flurry-${target}-${version}.zip`), archive);
		rows.push({ what: `${target} package`, bytes: archive.length, limit: limits.package });
	}
	report(rows);
}

async function buildExtension(target, dir, { version, test, names, config }) {
	const { script, files } = targets[target];
	const entryPoints = { app: script, popup: "ui/popup.css" };
	await bundle({ entryPoints, outdir: dir, format: "esm", names, config: test ? null : config });
	writeJSON(join(dir, "manifest.json"), manifest(target, { version, test }));
	for (const [name, source] of Object.entries(files)) copyFileSync(join(here, source), join(dir, name));
	writeFileSync(join(dir, "popup.html"), page("ui/popup.html"));
	cpSync(join(here, "ui/icons"), join(dir, "icons"), { recursive: true, filter: (file) => !file.endsWith(".svg") });
	for (const [locale, messages] of locales()) {
		mkdirSync(join(dir, "_locales", locale), { recursive: true });
		writeFileSync(join(dir, "_locales", locale, "messages.json"), messages);
	}
	if (test) writeJSON(join(dir, "test.json"), config);
}

async function buildBadge(dir, { test, config }) {
	const entryPoints = {
		badge: "badge/badge.css",
		page: "badge/page.ts",
		engine: "badge/engine.ts",
		"timer-worker": "badge/timer-worker.ts",
	};
	// Not modules: a module would have to come with a CORS header into a sandboxed frame, whose origin is none.
	await bundle({ entryPoints, outdir: dir, format: "iife", config: test ? null : config });
	writeFileSync(join(dir, "index.html"), page("badge/index.html").replace("%POLICY%", policy(test, "worker-src 'self'; ")));
	mkdirSync(join(dir, "words"));
	for (const [locale, messages] of locales())
		writeFileSync(join(dir, "words", `${locale}.js`), `document.currentScript.messages=${messages};\n`);
	if (test) writeJSON(join(dir, "test.json"), config);
}

/** The messages in each language as JSON, without what is said to translators. */
function locales() {
	return readdirSync(join(here, "_locales")).map((locale) => {
		const messages = JSON.parse(readFileSync(join(here, "_locales", locale, "messages.json"), "utf8"));
		for (const entry of Object.values(messages)) delete entry.description;
		return [locale, JSON.stringify(messages)];
	});
}

function weighExtension(target, dir) {
	const { plain, gzip } = weigh(
		dir,
		tree(dir).filter((name) => name.endsWith(".js")),
	);
	return [
		{ what: `${target} scripts`, bytes: plain, limit: targets[target].most[0] },
		{ what: `${target} scripts, gzip`, bytes: gzip, limit: targets[target].most[1] },
	];
}

/** What a visitor loads before the badge can be switched on, in the language with most bytes. */
function weighBadge(dir) {
	const common = weigh(dir, ["index.html", "badge.css", "page.js"]).gzip;
	const words = Math.max(...tree(join(dir, "words")).map((name) => weigh(join(dir, "words"), [name]).gzip));
	return [{ what: "badge first load, gzip", bytes: common + words, limit: limits.badgeGzip }];
}

function report(rows) {
	for (const { what, bytes, limit } of rows) {
		const tooMuch = bytes > limit;
		console.log(
			`${what.padEnd(28)}${String(bytes).padStart(8)} of ${String(limit).padStart(6)} bytes${tooMuch ? "  TOO MUCH" : ""}`,
		);
		if (tooMuch) process.exitCode = 1;
	}
}

function writeJSON(file, value) {
	writeFileSync(file, `${JSON.stringify(value, null, "\t")}\n`);
}

await main();
