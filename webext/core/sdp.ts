import { formatAddress, isLocal, parseAddress } from "./address.ts";
import { type Description, decodeDescription } from "./messages.ts";

// What is read and changed in session descriptions (spec section 5). The work is proportional to the length of the text, which
// messages bound.

/** More candidates than any device has addresses; each of a stranger's makes the browser send packets. */
const MAX_CANDIDATES = 64;

/** What an a=candidate line says, as far as it matters (RFC 8839, section 5.1). */
interface Candidate {
	type: string;
	/** The literal address without its zone, or a name. */
	host: string;
}

const CANDIDATE = /^a=candidate:\S* \d+ (?:udp|tcp) \d+ (\S+) \d+ typ (host|srflx|prflx|relay)(?: |$)/i;

function readCandidate(line: string): Candidate | null {
	const [, host, type] = CANDIDATE.exec(line) ?? [];
	return host && type ? { host: host.split("%")[0] ?? "", type } : null;
}

const isCandidate = (line: string): boolean => line.startsWith("a=candidate:");

/** Whether a candidate must not leave, or not be tried: a name, which is mDNS, or a host candidate with a local address. */
function isHidden({ host, type }: Candidate): boolean {
	const address = parseAddress(host);
	return !address || (type === "host" && isLocal(address));
}

const lines = (text: string): string[] => text.split(/\r?\n/).filter(Boolean);
const joined = (all: string[]): string => all.map((line) => `${line}\r\n`).join("");

/**
 * Reads a stranger's description: an offer of a client, or the probe service's answer. It must be of one data channel: for
 * anything else, such as pictures, the browser would start what it has no use for. Unless local is set, candidates that
 * would have it look around the volunteer's own network are taken out.
 */
export function readRemote(
	wrapper: string,
	type: "offer" | "answer",
	local: boolean,
): Description & { type: "offer" | "answer" } {
	const d = decodeDescription(wrapper);
	const all = lines(d.sdp);
	const media = all.filter((line) => line.startsWith("m="));
	if (d.type !== type || all[0] !== "v=0" || media.length !== 1 || !media[0]?.startsWith("m=application "))
		throw new Error(`no ${type} of a data channel`);
	let candidates = 0;
	const kept = all.filter((line) => {
		if (!isCandidate(line)) return true;
		const c = readCandidate(line);
		return c && (local || !isHidden(c)) && ++candidates <= MAX_CANDIDATES;
	});
	return { type, sdp: joined(kept) };
}

/**
 * What may leave of our own description: no local candidates (spec section 5.3; webext.md, section 4 of its decisions), no related
 * addresses, and no default address but that of a candidate that stays. Unless local is set.
 */
export function stripLocal(text: string, local: boolean): string {
	if (local) return text;
	const hosts = new Set<string>();
	const kept = lines(text).filter((line) => {
		if (!isCandidate(line)) return true;
		const c = readCandidate(line);
		if (!c || isHidden(c)) return false;
		hosts.add(c.host);
		return true;
	});
	const hide = kept.some((line) => line.startsWith("c=") && !hosts.has(line.split(" ")[2] ?? ""));
	return joined(
		kept.map((line) => {
			if (isCandidate(line)) return line.replace(/ raddr \S+ rport \d+/, " raddr 0.0.0.0 rport 0");
			if (hide && line.startsWith("c=")) return "c=IN IP4 0.0.0.0";
			return hide ? line.replace(/^(m=application) \d+/, "$1 9") : line;
		}),
	);
}

/** Whether anybody could be reached: the broker refuses an answer without candidates (spec section 3.2). */
export const hasCandidates = (text: string): boolean => lines(text).some(isCandidate);

/** Whether a STUN server has told our address, which is what a peer behind another NAT needs most. */
export const hasReflexive = (text: string): boolean => lines(text).some((line) => readCandidate(line)?.type === "srflx");

/**
 * Says in our answer that messages are handed on whole (spec section E.1), which clients know of browsers but need not guess.
 */
export const markEdges = (text: string): string => text.replace("\r\nm=", "\r\na=whole-messages\r\nm=");

/**
 * The address by which whoever wrote text is reached, as the relay is told (spec section 8.1): the first candidate's that is not
 * local, else that of a c= line, those of media before the session's. Empty if there is none.
 */
export function remoteAddress(text: string): string {
	const begin = text.search(/^m=/m);
	const media = text.slice(begin);
	const connections = (part: string) => [...part.matchAll(/^c=\S+ \S+ ([^\s/]+)/gm)].map(([, host]) => host);
	const hosts = [
		...lines(media).map((line) => readCandidate(line)?.host),
		...connections(media),
		...connections(text.slice(0, begin)),
	];
	for (const host of hosts) {
		const address = parseAddress(host ?? "");
		if (address && !isLocal(address)) return formatAddress(address);
	}
	return "";
}
