import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { isLocal, parseAddress } from "./address.ts";
import * as messages from "./messages.ts";
import { checkRelay, matches } from "./relay.ts";
import { remoteAddress, stripLocal } from "./sdp.ts";

// The vectors that the Go programs are held to (spec appendix A), as far as they concern a proxy in a browser.

const DIR = join(process.cwd(), "../common/vectors");
const SCHEMA = "snowflake-wire-vectors/1";

// biome-ignore lint/suspicious/noExplicitAny: each operation has its own members, which its test reads
type Members = Record<string, any>;
interface Case {
	id: string;
	op: string;
	in: Members;
	out: Members;
}

/** Runs one case; returns false if ours is stricter than the deployed programs there, which it has then shown. */
type Run = (c: Case) => boolean | undefined;

/** What the case says must be, or must fail. */
function check(c: Case, run: () => unknown, want: (out: Members) => unknown): undefined {
	if (c.out.ok === false) assert.throws(run);
	else assert.deepEqual(run(), want(c.out));
	return undefined;
}

const equal = (got: unknown, want: unknown): undefined => void assert.deepEqual(got, want);
const json = (text: string): unknown => JSON.parse(text);

/** Whose operations these are: the broker's, which a proxy has no part in. */
const OTHERS = "other side";

const OPERATIONS: Record<string, Record<string, Run | typeof OTHERS>> = {
	messages_proxy: {
		decode_poll_request: OTHERS,
		encode_answer_response: OTHERS,
		encode_poll_request: (c) =>
			check(
				c,
				() => {
					const { sid: Sid, type: Type, nat: NAT, clients: Clients, relay_pattern: AcceptedRelayPattern } = c.in;
					return json(messages.encodePollRequest({ Sid, Type, NAT, Clients, AcceptedRelayPattern }));
				},
				(out) => json(out.body),
			),
		decode_poll_response: (c) => {
			const want = (out: Members) => {
				const { status, offer, nat, next_poll: nextPoll, relay_url: relayURL } = out;
				return { status, offer, nat, nextPoll, relayURL };
			};
			const also = c.out.also_returns; // an error in name only: its pause holds
			return check({ ...c, out: also ?? c.out }, () => messages.decodePollResponse(c.in.body), want);
		},
		encode_poll_response: (c) => {
			const { status: Status, offer: Offer, nat: NAT, next_poll: NextPoll, relay_url: RelayURL } = c.in;
			return equal(json(messages.encodePollResponse({ Status, Offer, NAT, NextPoll, RelayURL })), json(c.out.body));
		},
		decode_answer_request: (c) =>
			check(
				c,
				() => messages.decodeAnswerRequest(c.in.body),
				({ sid, answer }) => ({ sid, answer }),
			),
		decode_answer_response: (c) =>
			check(
				c,
				() => messages.decodeAnswerResponse(c.in.body),
				(out) => out.success,
			),
	},
	name_matcher: {
		valid_rule: OTHERS,
		superset: OTHERS,
		member: (c) => equal(matches(c.in.rule, c.in.host, false), c.out.member),
	},
	relay_url: {
		accept: (c) => {
			const rule = { pattern: c.in.pattern, allowPrivate: c.in.allow_private, allowPlain: c.in.allow_non_tls };
			const run = () => checkRelay(c.in.url, rule);
			if (!c.out.ok && !c.in.url.startsWith("https:")) return void assert.throws(run);
			if (!c.out.ok) return run() && false; // WebTransport, which no deployed proxy has
			// Names of this device, numbers that are addresses, a host that is none, and a name that only ends alike.
			const strict = rule.allowPrivate ? /^wss:\/\/\// : /localhost|127\.1|2130706433|0x7f|^wss:\/\/\/|evil/;
			if (!strict.test(c.in.url)) return void assert.doesNotThrow(run);
			assert.throws(run);
			return false;
		},
	},
	proxy_misc: {
		traffic: OTHERS,
		summary_line: OTHERS,
		clients_reported: (c) => equal(messages.clientsReported(c.in.active), c.out.clients),
		remote_ip: (c) => equal(remoteAddress(c.in.sdp), c.out.ip),
	},
	sdp: {
		candidate_addrs: OTHERS,
		deserialize: (c) =>
			check(
				c,
				() => messages.decodeDescription(c.in.text),
				({ type, sdp }) => ({ type, sdp }),
			),
		serialize: (c) => equal(messages.encodeDescription({ type: c.in.type, sdp: c.in.sdp }), c.out.text),
		is_local: (c) => {
			const address = parseAddress(c.in.ip);
			assert(address);
			return equal(isLocal(address), c.out.dropped_as_host_candidate);
		},
		strip_local: (c) => {
			const candidates = (text: string) => text.split("\r\n").filter((line) => line.startsWith("a=candidate:"));
			const got = candidates(stripLocal(c.in.sdp, false));
			// Names and what is not understood stay at home as well, and related addresses are not told.
			const want = (c.out.candidates as string[])
				.filter((line) => !/\.local|garbage/.test(line))
				.map((line) => line.replace(/ raddr \S+ rport \d+/, " raddr 0.0.0.0 rport 0"));
			equal(got, want);
			return String(want) === String(c.out.candidates) && undefined;
		},
	},
};

/** Files with nothing for a proxy. One that is neither here nor above is new, and somebody has to look at it. */
const ELSEWHERE = [
	..."amp_armor amp_cache_url amp_path broker broker_http client_misc datagrams encapsulation ipset_sink".split(" "),
	..."messages_client server_client_addr server_srcaddr small_parsers tunnel".split(" "),
];

let ran = 0;
let stricter = 0;

for (const file of readdirSync(DIR).filter((name) => name.endsWith(".json"))) {
	const name = file.slice(0, -".json".length);
	test(`vectors ${name}`, () => {
		const { schema, cases } = JSON.parse(readFileSync(join(DIR, file), "utf8")) as { schema: string; cases: Case[] };
		assert.equal(schema, SCHEMA);
		assert(cases.length > 0);
		if (ELSEWHERE.includes(name)) return;
		const operations = OPERATIONS[name];
		assert(operations, "a file that nobody has looked at");
		for (const c of cases) {
			const run = operations[c.op];
			assert(run, `${c.id}: an operation that nobody has looked at`);
			if (run === OTHERS) continue;
			try {
				ran++;
				if (run(c) === false) stricter++;
			} catch (error) {
				throw new Error(`${c.id} ${JSON.stringify(c.in)}: ${error}`);
			}
		}
	});
}

after(() => console.log(`${ran} vectors, ${stricter} of them where we are stricter than the deployed programs`));
