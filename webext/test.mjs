// Runs the unit tests: node test.mjs [words of file names]. Node 20 cannot run TypeScript, so that they are bundled first.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { closures } from "./build/closures.mjs";

const words = process.argv.slice(2);
const tests = readdirSync(".", { recursive: true }).filter(
	(file) => file.endsWith(".test.ts") && !/^(node_modules|dist)\b/.test(file) && words.every((word) => file.includes(word)),
);
if (tests.length === 0) throw new Error("no such tests");
const dir = mkdtempSync(join(tmpdir(), "webext-test-"));
try {
	await build({
		entryPoints: tests,
		outdir: dir,
		outExtension: { ".js": ".mjs" },
		outbase: ".",
		bundle: true,
		format: "esm",
		platform: "node",
		sourcemap: "inline",
		loader: { ".json": "json", ".html": "text" },
		plugins: [closures(".")],
	});
	const files = tests.map((file) => join(dir, file.replace(/\.ts$/, ".mjs")));
	const { status } = spawnSync(process.execPath, ["--enable-source-maps", "--test", ...files], { stdio: "inherit" });
	process.exitCode = status ?? 1;
} finally {
	rmSync(dir, { recursive: true });
}
