import { check, MAX_BODY } from "../core/messages.ts";

/**
 * Posts body and returns the response's. A string is sent as text/plain, for which a browser asks no leave of the server
 * (the preflight of the Fetch standard, which the broker's /probe does not answer: spec section 9.3).
 */
export async function post(url: string, body: string, signal: AbortSignal): Promise<string> {
	const response = await fetch(url, {
		method: "POST",
		body,
		signal,
		credentials: "omit",
		redirect: "error",
		referrerPolicy: "no-referrer",
	});
	const reader = response.body?.getReader();
	check(response.status === 200 && reader);
	const decoder = new TextDecoder();
	let text = "";
	for (let size = 0; ; ) {
		const { done, value } = await reader.read();
		if (done) return text + decoder.decode();
		size += value.byteLength;
		if (size > MAX_BODY) void reader.cancel();
		check(size <= MAX_BODY);
		text += decoder.decode(value, { stream: true });
	}
}
