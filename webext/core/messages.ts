import type { NAT } from "./types.ts";

// The broker's messages, a proxy's side (spec section 3), and those of the probe service (9.3), which are the same with the roles
// changed. They come from strangers: every function here throws on what it does not understand, and does nothing else.

/** The most bytes of a request or response (spec section 3.1). */
export const MAX_BODY = 100_000;

/** What we are, stated in polls. */
export type ProxyType = "webext" | "badge";

/** What we speak, stated in polls and answers (spec section 0.1). */
const VERSION = "1.3";

/** Statuses of a PollResponse. */
export const CLIENT_MATCH = "client match";
export const NO_MATCH = "no match";

/** The number of clients in a poll is rounded down to a multiple of this (spec section 4.5). */
const CLIENTS_UNIT = 8;

/** A wait for one client, in the words of the wire. */
export interface PollRequest {
	Sid: string;
	Type: string;
	NAT: string;
	/** As clientsReported gives it. */
	Clients: number;
	AcceptedRelayPattern: string;
}

/** The body of a request to the probe service, in the words of the wire: a match with our own offer. */
export interface ProbeRequest {
	Status: string;
	Offer: string;
	NAT: string;
	NextPoll: number;
	RelayURL: string;
}

/** The broker's reply to a poll. */
export interface PollResponse {
	/** CLIENT_MATCH, NO_MATCH, or a broker's own reason to have no client for us. */
	status: string;
	/** On a match the client's session description in its wrapper, else empty. */
	offer: string;
	/** The client's NAT word, not checked. */
	nat: NAT | string;
	/** Wish for the pause until the next poll, in ms; 0 or less: none. */
	nextPoll: number;
	/** The relay to dial; empty: our own. */
	relayURL: string;
}

/** A session description, of which the text is not read yet (spec section 5.1). */
export interface Description {
	type: "offer" | "answer" | "pranswer" | "rollback";
	sdp: string;
}

/** What a poll says of n clients being served, which is little about any one of them. */
export const clientsReported = (n: number): number => n - (n % CLIENTS_UNIT);

export const encodePollRequest = ({ Sid, ...rest }: PollRequest): string => JSON.stringify({ Sid, Version: VERSION, ...rest });

export function decodePollResponse(text: string): PollResponse {
	const get = members(text);
	const status = get("status", "");
	const match = status === CLIENT_MATCH;
	const offer = get("offer", "");
	const nextPoll = get("nextpoll", 0);
	check(status && (offer || !match) && Number.isInteger(nextPoll));
	return { status, offer: match ? offer : "", nat: get("nat", "") || "unknown", nextPoll, relayURL: get("relayurl", "") };
}

export const encodePollResponse: (request: ProbeRequest) => string = JSON.stringify;

export const encodeAnswerRequest = (sid: string, answer: string): string =>
	JSON.stringify({ Version: VERSION, Sid: sid, Answer: answer });

/** Reads the probe service's reply. */
export function decodeAnswerRequest(text: string): { sid: string; answer: string } {
	const get = members(text);
	const [sid, answer] = [get("sid", ""), get("answer", "")];
	check(/^1(\.|$)/.test(get("version", "")) && sid && decodeDescription(answer));
	return { sid, answer };
}

/** Whether the answer has reached its client. */
export function decodeAnswerResponse(text: string): boolean {
	const status = members(text)("status", "");
	check(status);
	return status === "success";
}

export const encodeDescription: (description: Description) => string = JSON.stringify;

/** Reads the wrapper, whose member names, unlike those of the messages, are case-sensitive. */
export function decodeDescription(text: string): Description {
	const { type, sdp } = JSON.parse(text);
	check(typeof sdp === "string" && ["offer", "answer", "pranswer", "rollback"].includes(type));
	return { type, sdp };
}

/** Throws unless what a stranger has sent is as it must be. Nobody is told why not: there is nobody who could do something about it. */
export function check(good: unknown): asserts good {
	if (!good) throw new Error("refused");
}

/**
 * Reads a JSON object, or null for an empty one. The function it returns finds a member, the last that has this name in whatever
 * case; it must be of the fallback's type, which stands in for an absent one and for null.
 */
function members(
	text: string,
): <T extends string | number>(lowerCaseName: string, fallback: T) => T extends string ? string : number {
	const value = JSON.parse(text) ?? {};
	check(typeof value === "object" && !Array.isArray(value));
	const all = new Map(Object.entries(value).map(([name, v]) => [name.toLowerCase(), v]));
	return (name, fallback) => {
		const v = all.get(name) ?? fallback;
		check(typeof v === typeof fallback);
		return v as never;
	};
}
