import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { post } from "./http.ts";

/** Serves by answer while what runs. */
async function serving(
	answer: (request: IncomingMessage, response: ServerResponse) => void,
	what: (url: string) => Promise<void>,
) {
	const server = createServer(answer).listen(0, "127.0.0.1");
	await new Promise((resolve) => server.once("listening", resolve));
	try {
		await what(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
	} finally {
		server.closeAllConnections();
		server.close();
	}
}

const never = new AbortController().signal;

test("a request is a simple one", async () => {
	let seen = "";
	const answer = (request: IncomingMessage, response: ServerResponse) => {
		request.on("data", (data) => {
			seen += `${request.method} ${request.headers["content-type"]} ${data}`;
		});
		request.on("end", () => response.end("{\u00fc}"));
	};
	await serving(answer, async (url) => assert.equal(await post(url, '{"a":1}', never), "{\u00fc}"));
	assert.equal(seen, 'POST text/plain;charset=UTF-8 {"a":1}');
});

test("only status 200 counts, and no redirect is followed", async () => {
	for (const status of [204, 301, 307, 400, 404, 500]) {
		const answer = (_: IncomingMessage, response: ServerResponse) => {
			response.writeHead(status, { location: "/elsewhere" }).end();
		};
		await serving(answer, (url) => assert.rejects(post(url, "", never), String(status)));
	}
});

test("100,000 bytes are read, and not one more, however they come", async () => {
	for (const [size, good] of [
		[100_000, true],
		[100_001, false],
		[50_000_000, false],
	] as const) {
		const answer = (_: IncomingMessage, response: ServerResponse) => {
			for (let left = size; left > 0 && !response.destroyed; left -= 60_000) response.write("x".repeat(Math.min(left, 60_000)));
			response.end();
		};
		await serving(answer, async (url) => {
			if (good) assert.equal((await post(url, "", never)).length, size);
			else await assert.rejects(post(url, "", never));
		});
	}
});

test("a request ends with its signal, even in the middle of the response", async () => {
	const life = new AbortController();
	const answer = (_: IncomingMessage, response: ServerResponse) => {
		response.write("{");
		life.abort();
	};
	await serving(answer, (url) => assert.rejects(post(url, "", life.signal)));
});
