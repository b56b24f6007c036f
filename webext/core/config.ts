import type { ProxyType } from "./messages.ts";

/** What a build is for. Compiled in for a release; a test build reads it from test.json in its own package. */
export interface Config {
	/** Version of this software, for the volunteer. */
	version: string;
	/** Stated in polls (spec section 3.1). */
	type: ProxyType;
	brokerURL: string;
	probeURL: string;
	/** The rule that a relay's host name must satisfy (spec section 3.4). */
	relayPattern: string;
	/** Dialled when the broker names none. */
	relayURL: string;
	/** "stun:host:port" */
	stunServers: string[];
	/** Tests only: local candidates stay in answers, relays may be ws: and at local addresses. */
	local: boolean;
	/** Tests only, and only with local: base64 SHA-256 of certificates that WebTransport relays may have. */
	certificateHashes?: string[];
}
