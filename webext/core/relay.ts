import { isForbidden, parseAddress } from "./address.ts";

/** What a relay that the broker names must satisfy. */
export interface RelayRule {
	/** Rule for the host name (spec section 3.4). */
	pattern: string;
	/** Addresses of private networks, and names for them, are allowed. */
	allowPrivate: boolean;
	/** ws: is allowed. */
	allowPlain: boolean;
}

/** "^name$" is that name alone, "name$" every name that ends so; the "$" may be missing on the wire (spec section 3.4). */
function readPattern(pattern: string): { exact: boolean; name: string } {
	const text = pattern.endsWith("$") ? pattern.slice(0, -1) : pattern;
	const exact = text.startsWith("^");
	return { exact, name: exact ? text.slice(1) : text };
}

/** Whether pattern accepts host, by the letter of spec section 3.4. */
export function matches(pattern: string, host: string): boolean {
	const { exact, name } = readPattern(pattern);
	return exact ? host === name : host.endsWith(name);
}

/**
 * Reads the URL of a relay: wss, or https for WebTransport. The tests are those of spec section 8.4, made stricter: names that
 * stand for this device are refused, and so is a name that ends as the pattern says but not where a label begins, which
 * may belong to anybody. Throws if the relay is refused.
 */
export function checkRelay(text: string, rule: RelayRule): URL {
	if (!/^(wss?|https):\/\//i.test(text)) throw new Error("neither WebSocket nor WebTransport");
	const url = new URL(text);
	if (url.protocol === "ws:" && !rule.allowPlain) throw new Error("relay without TLS");
	const host = url.hostname;
	const address = parseAddress(host.replace(/^\[(.*)\]$/, "$1"));
	const private_ = address ? isForbidden(address) : /(^|\.)(localhost|local)\.?$/.test(host);
	if (private_ && !rule.allowPrivate) throw new Error("relay at a private address");
	const { exact, name } = readPattern(rule.pattern);
	const bounded = exact || !name || host === name || name.startsWith(".") || host.endsWith(`.${name}`);
	if (!matches(rule.pattern, host) || !bounded) throw new Error("relay outside the pattern");
	return url;
}

/** The relay's URL with the client's address added to the query, if it is known, and without what must not be sent (spec section 8.1). */
export function withClient(relay: URL, client: string): string {
	const url = new URL(relay);
	url.username = url.password = url.hash = "";
	if (client) {
		url.searchParams.set("client_ip", client);
		url.searchParams.sort();
	}
	return url.href;
}
