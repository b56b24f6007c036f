import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, test } from "node:test";

const dir = mkdtempSync(join(tmpdir(), "webext-build-"));
after(() => rmSync(dir, { recursive: true }));

/** Runs the build of the source tree in `from`. */
function build(from: string, env: Record<string, string>, ...args: string[]) {
	return spawnSync(process.execPath, ["build.mjs", ...args], { cwd: from, env: { ...process.env, ...env }, encoding: "utf8" });
}

/** All files below a folder with their content. */
function content(folder: string): Map<string, string> {
	const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
	return new Map(
		files
			.map(({ parentPath, name }) => join(parentPath, name))
			.map((file) => [file.slice(folder.length), readFileSync(file, "latin1")]),
	);
}

test("two builds are the same bytes, wherever and whenever they are made", () => {
	const copy = join(dir, "elsewhere", "webext");
	cpSync(".", copy, { recursive: true, filter: (file) => !/^(node_modules|dist)\b/.test(file) });
	symlinkSync(resolve("node_modules"), join(copy, "node_modules"));
	mkdirSync(join(dir, "elsewhere", "common"));
	cpSync("../common/version", join(dir, "elsewhere", "common", "version"), { recursive: true });
	const here = build(".", { TZ: "UTC" }, "--outdir", join(dir, "a"));
	assert.equal(here.status, 0, here.stdout + here.stderr);
	const there = build(copy, { TZ: "Asia/Kathmandu", LC_ALL: "tr_TR.UTF-8" }, "--outdir", join(dir, "b"));
	assert.equal(there.status, 0, there.stdout + there.stderr);
	const [a, b] = [content(join(dir, "a")), content(join(dir, "b"))];
	assert.deepEqual([...a.keys()].sort(), [...b.keys()].sort());
	for (const [name, bytes] of a) assert.ok(bytes === b.get(name), `${name} differs`);
	assert.equal([...a.keys()].filter((name) => name.endsWith(".zip")).length, 4);
});

test("a network of one's own is compiled in, and one with a mistake is refused", () => {
	const file = join(dir, "network.json");
	writeFileSync(file, JSON.stringify({ brokerURL: "https://broker.example/" }));
	const good = build(".", {}, "--outdir", join(dir, "own"), "--config", file);
	assert.equal(good.status, 0, good.stdout + good.stderr);
	for (const target of ["chromium", "firefox", "firefox-mv2", "badge"]) {
		const scripts = [...content(join(dir, "own", target))].filter(([name]) => name.endsWith(".js"));
		const brokers = scripts.flatMap(([, text]) => [...text.matchAll(/brokerURL:"([^"]*)"/g)].map(([, url]) => url));
		assert.deepEqual(brokers, ["https://broker.example/"], target);
	}
	for (const wrong of ['{"brokerUrl": "https://broker.example/"}', '{"stunServers": "stun:stun.example:3478"}', "{"]) {
		writeFileSync(file, wrong);
		assert.notEqual(build(".", {}, "--outdir", join(dir, "wrong"), "--config", file).status, 0, wrong);
	}
});

test("only a test build may connect to this machine in the clear", () => {
	const policies = (outdir: string) =>
		["chromium/manifest.json", "firefox/manifest.json", "firefox-mv2/manifest.json", "badge/index.html"].map(
			(name) => /connect-src [^"]*/.exec(readFileSync(join(outdir, name), "utf8"))?.[0],
		);
	assert.deepEqual(policies(join(dir, "a")), Array(4).fill("connect-src https: wss:"));
	const made = build(".", {}, "--test", "--outdir", join(dir, "test"));
	assert.equal(made.status, 0, made.stdout + made.stderr);
	const loopback = "connect-src https: wss: 'self' http://127.0.0.1:* ws://127.0.0.1:* https://127.0.0.1:*";
	assert.deepEqual(policies(join(dir, "test")), Array(4).fill(loopback));
});
