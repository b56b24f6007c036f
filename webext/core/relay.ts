import { isForbidden, parseAddress } from "./address.ts";
import { check } from "./messages.ts";

/** What a relay that the broker names must satisfy. */
export interface RelayRule {
	/** Rule for the host name (spec section 3.4). */
	pattern: string;
	/** Addresses of private networks, and names for them, are allowed. */
	allowPrivate: boolean;
	/** ws: is allowed. */
	allowPlain: boolean;
}

/**
 * Whether pattern accepts host: "^name$" is that name alone, "name$" every name that ends so; the "$" may be missing on the wire
 * (spec section 3.4). With labels it must end so from the beginning of a label: what only ends in the same letters may
 * belong to anybody.
 */
export function matches(pattern: string, host: string, labels: boolean): boolean {
	const [, exact, name = ""] = /^(\^?)(.*?)\$?$/.exec(pattern) ?? [];
	if (exact) return host === name;
	return host.endsWith(name) && (!labels || !name || `.${host}`.endsWith(name.replace(/^\.?/, ".")));
}

/**
 * Reads the URL of a relay: wss, or https for WebTransport. The tests are those of spec section 8.4, made stricter: names that
 * stand for this device or its neighbours are refused as well, and the pattern counts by labels. Throws if the relay is refused.
 */
export function checkRelay(text: string, rule: RelayRule): URL {
	check(/^(wss?|https):\/\//i.test(text));
	const url = new URL(text);
	const { hostname: host, protocol } = url;
	const address = parseAddress(host.replace(/^\[|\]$/g, ""));
	const hidden = address ? isForbidden(address) : /(^|\.)local(host)?\.?$/.test(host);
	check(rule.allowPrivate || !hidden);
	check(rule.allowPlain || protocol !== "ws:");
	check(matches(rule.pattern, host, true));
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
