import { canonicalIPv6, isLocal, parseAddress } from "./address.ts";
import { check, type Description, decodeDescription } from "./messages.ts";

// What is read and changed in session descriptions (spec section 5). The work is proportional to the length of the text, which
// messages bound.

/** More candidates than any device has addresses; each of a stranger's makes the browser send packets. */
const MAX_CANDIDATES = 64;

/** A candidate's address and type (RFC 8839, section 5.1). The address may be a name, or have a zone, which tells nothing to others. */
const CANDIDATE = /^a=candidate:\S* \d+ (?:udp|tcp) \d+ ([^\s%]+)\S* \d+ typ (host|srflx|prflx|relay)\b/i;

/** Takes out candidates with a name, which is mDNS, host candidates with a local address, and what is not understood. */
function withoutLocal(text: string, local: boolean): string {
	let left = MAX_CANDIDATES;
	return text.replace(/^a=candidate:.*\r?\n?/gm, (line) => {
		const [, host = "", type] = CANDIDATE.exec(line) ?? [];
		const address = parseAddress(host);
		const hidden = !local && (!address || (type === "host" && isLocal(address)));
		return type && !hidden && left-- > 0 ? line : "";
	});
}

/**
 * Reads a stranger's description: an offer of a client, or the probe service's answer. It must be of one data channel: for
 * anything else, such as pictures, the browser would start what it has no use for. Unless local is set, candidates that would
 * have it look around the volunteer's own network are taken out.
 */
export function readRemote<T extends Description["type"]>(wrapper: string, type: T, local: boolean): { type: T; sdp: string } {
	const d = decodeDescription(wrapper);
	const media = d.sdp.match(/^m=.*/gm) ?? [];
	check(d.type === type && /^v=0\r?\n/.test(d.sdp));
	check(media.length === 1 && media[0]?.startsWith("m=application "));
	return { type, sdp: withoutLocal(d.sdp, local) };
}

/**
 * What may leave of our own description: no local candidates (webext.md, section 8), no related addresses, and no default address
 * but that of a candidate that stays. Unless local is set.
 */
export function stripLocal(text: string, local: boolean): string {
	if (local) return text;
	const kept = withoutLocal(text, false).replace(/ raddr \S+ rport \d+/g, " raddr 0.0.0.0 rport 0");
	const [, host] = /^c=\S+ \S+ (\S+)/m.exec(kept) ?? [];
	if (kept.includes(` ${host} `)) return kept;
	return kept.replace(/^(m=\S+) \d+/gm, "$1 9").replace(/^c=\S+ \S+ \S+/gm, "c=IN IP4 0.0.0.0");
}

/** Whether anybody could be reached: the broker refuses an answer without candidates (spec section 3.2). */
export const hasCandidates = (text: string): boolean => text.includes("\na=candidate:");

/** Whether a STUN server has told our address, which is what a peer behind another NAT needs most. */
export const hasReflexive = (text: string): boolean => text.includes(" typ srflx");

/** Says in our answer that messages are handed on whole (spec section E.1), which clients know of browsers but need not guess. */
export const markEdges = (text: string): string => text.replace("\r\nm=", "\r\na=whole-messages\r\nm=");

/**
 * The address by which whoever wrote text is reached, as the relay is told (spec section 8.1): the first candidate's that is not
 * local, else that of a c= line, those of media before the session's. Empty if there is none.
 */
export function remoteAddress(text: string): string {
	const [session = "", media = ""] = text.split(/^(?=m=)/m);
	const candidates = media.split("\n").map((line) => CANDIDATE.exec(line)?.[1]);
	const connections = [...`${media}\n${session}`.matchAll(/^c=\S+ \S+ ([^\s/]+)/gm)].map(([, host]) => host);
	const host = [...candidates, ...connections].find((h = "") => parseAddress(h) && !isLocal(parseAddress(h))) ?? "";
	return host.includes(":") ? canonicalIPv6(host) : host;
}
