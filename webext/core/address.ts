// Literal IP addresses, as 32 hexadecimal digits: IPv4 addresses are those of ::ffff:0:0/96.

/** Private networks and links, loopback, the unspecified address: the list of spec section 5.3, and their like in IPv6. */
const LOCAL = /^(0{20}ffff(0a|ac1|c0a8|a9fe|64[4-7]|7f|0{8})|f[cd]|fe[89ab]|0{31}[01]$)/;

/** "This network" (RFC 1122), multicast, and what is above. */
const NO_HOST = /^(0{20}ffff(00|[ef])|ff)/;

/** IPv4 in the clothes of IPv6: NAT64 (RFC 6052), IPv4-compatible (RFC 4291), 6to4 (RFC 3056). */
const DISGUISED = /^(?:(?:0064ff9b0{16}|0{24})(.{8})|2002(.{8}).*)$/;

/** Writes an IPv6 address as RFC 5952 has it; throws if text is none. A URL's host is the one place where the platform does so. */
export const canonicalIPv6 = (text: string): string => new URL(`http://[${text}]/`).hostname.slice(1, -1);

/** Reads an address, which must not have a zone. Empty if text is none. */
export function parseAddress(text: string): string {
	const six = /^\d+(\.\d+){3}$/.test(text) ? `::ffff:${text}` : text;
	if (!/^[\da-f.]*:[\da-f:.]*$/i.test(six)) return "";
	try {
		const digits = (word: string) => Number.parseInt(word, 16).toString(16).padStart(4, "0");
		const [left = "", right] = canonicalIPv6(six)
			.split("::")
			.map((words) => words.replace(/\w+:?/g, digits));
		return right === undefined ? left : left.padEnd(32 - right.length, "0") + right;
	} catch {
		return "";
	}
}

/** Whether an address is of no use to a peer elsewhere. */
export const isLocal = (address: string): boolean => LOCAL.test(address);

/** Whether an address must not be dialled for a stranger: a local one, and what is no host's, in any clothes. */
export function isForbidden(address: string): boolean {
	const plain = address.replace(DISGUISED, "00000000000000000000ffff$1$2");
	return [address, plain].some((a) => LOCAL.test(a) || NO_HOST.test(a));
}
