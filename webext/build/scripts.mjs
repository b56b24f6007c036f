// Bundles scripts and styles, and makes them small: esbuild binds and shortens, terser shortens further what is left.
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { minify } from "terser";
import { closures } from "./closures.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");

/** What browsers of the oldest supported version understand (build/manifest.mjs). */
const target = ["chrome116", "firefox128"];
const ecma = 2020;

/**
 * Writes to outdir what is made of entryPoints, in the format "esm" or "iife"; config is compiled in, or null. The members
 * with the given names get shorter ones, if any are given: there may then be one script only, for each shortens by itself.
 */
export async function bundle({ entryPoints, outdir, format, config, names }) {
	const { outputFiles } = await build({
		absWorkingDir: root,
		bundle: true,
		minify: true,
		charset: "utf8",
		legalComments: "none",
		logLevel: "warning",
		target,
		define: { BUILD_CONFIG: JSON.stringify(config), BUILD_TEST: `${!config}` },
		plugins: [closures(root)],
		...(names ? { mangleProps: new RegExp(`^(${names.join("|")})$`) } : {}),
		write: false,
		entryPoints,
		outdir,
		format,
	});
	mkdirSync(outdir, { recursive: true });
	for (const { path, text } of outputFiles) writeFileSync(path, path.endsWith(".js") ? await shorten(text, format) : text);
}

/** What terser has put in the place of calls, it can shorten when it sees it again. */
async function shorten(text, format) {
	return terse(await terse(text, format), format);
}

async function terse(text, format) {
	// What terser calls unsafe here is so for functions that are constructed or have a this, and where somebody else has changed what
	// Array, Number or String are: in our own pages neither happens.
	const ours = { unsafe: true, unsafe_arrows: true, unsafe_methods: true };
	const compress = { ecma, passes: 4, keep_fargs: false, ...ours };
	const { code } = await minify(text, { ecma, module: format === "esm", compress, format: { ecma } });
	return code;
}
