// Literal IP addresses: 4 or 16 bytes. An IPv4 address mapped into IPv6 counts as IPv4.

export type Address = readonly number[];

/** Reads an address, null if text is none. The text must not have a zone. */
export function parseAddress(text: string): Address | null {
	if (/^(0|[1-9]\d{0,2})(\.(0|[1-9]\d{0,2})){3}$/.test(text)) {
		const bytes = text.split(".").map(Number);
		return bytes.every((b) => b < 256) ? bytes : null;
	}
	const canonical = canonicalIPv6(text);
	if (!canonical) return null;
	const [left = "", right] = canonical.split("::");
	const words = (part: string) => (part ? part.split(":") : []);
	const tail = words(right ?? "");
	const head = words(left);
	const all = [...head, ...Array(8 - head.length - tail.length).fill("0"), ...tail];
	const bytes = all.flatMap((w) => [Number.parseInt(w, 16) >> 8, Number.parseInt(w, 16) & 255]);
	return startsWith(bytes, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255]) ? bytes.slice(12) : bytes;
}

/** Writes an address as RFC 5952 has it. */
export function formatAddress(a: Address): string {
	if (a.length === 4) return a.join(".");
	const words = [];
	for (let i = 0; i < 16; i += 2) words.push((((a[i] ?? 0) << 8) | (a[i + 1] ?? 0)).toString(16));
	return canonicalIPv6(words.join(":"));
}

/** A URL's host is the one place where the platform writes IPv6 addresses in one form. Empty if text is no such address. */
function canonicalIPv6(text: string): string {
	if (!/^[\da-f:.]+$/i.test(text)) return "";
	try {
		return new URL(`http://[${text}]/`).hostname.slice(1, -1);
	} catch {
		return "";
	}
}

const startsWith = (a: Address, prefix: Address): boolean => prefix.every((b, i) => a[i] === b);

/** Whether a belongs to a private network or a link (spec section 5.3): RFC 1918, 3927, 6598, and their like in IPv6. */
export function isPrivate(a: Address): boolean {
	const [b0 = 0, b1 = 0] = a;
	if (a.length === 16) return (b0 & 0xfe) === 0xfc || (b0 === 0xfe && (b1 & 0xc0) === 0x80);
	return (
		b0 === 10 ||
		(b0 === 172 && (b1 & 0xf0) === 16) ||
		(b0 === 192 && b1 === 168) ||
		(b0 === 169 && b1 === 254) ||
		(b0 === 100 && (b1 & 0xc0) === 64)
	);
}

/** Whether a is of no use to a peer elsewhere: private, loopback or unspecified (spec section 5.3). */
export function isLocal(a: Address): boolean {
	const rest = a.slice(0, -1).every((b) => b === 0);
	if (a.length === 16) return isPrivate(a) || (rest && (a[15] ?? 2) < 2);
	return isPrivate(a) || a[0] === 127 || (rest && a[3] === 0);
}

/**
 * Whether a must not be dialled for a stranger: local, "this network" (RFC 1122), multicast and above, and all of these in the
 * clothes of IPv6: NAT64 (RFC 6052), 6to4 (RFC 3056), IPv4-compatible (RFC 4291).
 */
export function isForbidden(a: Address): boolean {
	if (isLocal(a)) return true;
	const [b0 = 0] = a;
	if (a.length === 4) return b0 === 0 || b0 >= 224;
	if (startsWith(a, [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0]) || startsWith(a, Array(12).fill(0)))
		return isForbidden(a.slice(12));
	if (startsWith(a, [0x20, 0x02])) return isForbidden(a.slice(2, 6));
	return b0 === 0xff;
}
