// What a build is made for: the network (Config of core/config.ts) and the version.
import { readFileSync } from "node:fs";

/** The public Snowflake network, with the values that its own volunteers have (spec sections 6 and 10.5). */
const publicNetwork = {
	brokerURL: "https://snowflake-broker.torproject.net/",
	probeURL: "https://snowflake-broker.torproject.net:8443/probe",
	relayPattern: "snowflake.torproject.net$",
	relayURL: "wss://snowflake.torproject.net/",
	stunServers: ["stun:stun.l.google.com:19302", "stun:stun.voip.blackberry.com:3478"],
};

/** What a test build has until the test writes a test.json of its own: programs on this machine, and nobody else. */
const testNetwork = {
	brokerURL: "http://127.0.0.1:8080/",
	probeURL: "http://127.0.0.1:8443/probe",
	relayPattern: "^127.0.0.1$",
	relayURL: "ws://127.0.0.1:8081/",
	stunServers: [],
};

/**
 * The Config of a build. file, if given, holds those members that differ from the public network's; a member that a
 * network does not have, or of another kind, is an error: a mistyped name would send volunteers elsewhere.
 */
export function network({ test, file, version }) {
	const config = structuredClone(test ? testNetwork : publicNetwork);
	if (file) {
		for (const [name, value] of Object.entries(JSON.parse(readFileSync(file, "utf8")))) {
			if (!(name in config)) throw new Error(`${file}: a network has no ${name}`);
			if (typeof value !== typeof config[name] || Array.isArray(value) !== Array.isArray(config[name]))
				throw new Error(`${file}: ${name} has the wrong type`);
			config[name] = value;
		}
	}
	return { version, ...config, local: test };
}

/** The version of the source tree, which common/version states for all its programs. */
export function sourceVersion() {
	const file = new URL("../../common/version/version.go", import.meta.url);
	const found = /^const Version = "(\d+\.\d+\.\d+)"$/m.exec(readFileSync(file, "utf8"));
	if (!found) throw new Error("common/version/version.go states no version");
	return found[1];
}
