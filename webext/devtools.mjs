// A headless Chromium, driven over two pipes by the DevTools protocol: no port that others could reach, and no further package.
// The browser is $CHROMIUM, or "chromium" in the path.

import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * Starts a browser. Its `send` calls a method of the protocol and rejects if that fails or the browser ends; `listeners` are called
 * with each event; `close` ends the browser and removes its profile.
 */
export async function launch() {
	const profile = await mkdtemp(join(tmpdir(), "flurry-browser-"));
	const flags = ["--headless", "--remote-debugging-pipe", "--no-first-run", "--hide-scrollbars", `--user-data-dir=${profile}`];
	if (process.getuid?.() === 0) flags.push("--no-sandbox");
	const stdio = ["ignore", "ignore", "ignore", "pipe", "pipe"];
	const child = spawn(process.env.CHROMIUM ?? "chromium", [...flags, "about:blank"], { stdio });
	const waiting = new Map();
	const listeners = new Set();
	const ended = new Promise((resolve) => {
		child.on("close", resolve);
		child.on("error", resolve);
	});
	ended.then((reason) => {
		for (const { reject } of waiting.values()) reject(new Error(`the browser has ended: ${reason}`));
	});
	let rest = "";
	child.stdio[4].setEncoding("utf8").on("data", (text) => {
		const messages = (rest + text).split("\0");
		rest = messages.pop();
		for (const message of messages.map((entry) => JSON.parse(entry))) {
			const { resolve, reject } = waiting.get(message.id) ?? {};
			waiting.delete(message.id);
			if (!resolve) for (const listener of listeners) listener(message);
			else if (message.error) reject(new Error(message.error.message));
			else resolve(message.result);
		}
	});
	child.stdio[3].on("error", () => {});
	let id = 0;
	return {
		listeners,
		send(method, params = {}, sessionId) {
			return new Promise((resolve, reject) => {
				waiting.set(++id, { resolve, reject });
				child.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
			});
		},
		async close() {
			child.kill("SIGKILL");
			await ended;
			await rm(profile, { recursive: true, force: true, maxRetries: 5 });
		},
	};
}
