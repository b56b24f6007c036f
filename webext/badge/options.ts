/** What the page that embeds a badge says in its address. */
export interface Options {
	/** Tell on the page and on the console what happens. */
	debug: boolean;
	/** Show the switch only, without any text. */
	silent: boolean;
	/** Bytes a second that all people together may take, beside the volunteer's own limit; 0: none. */
	rateLimit: number;
	/** The language (a BCP 47 tag) in place of the visitor's; "": the visitor's. */
	lang: string;
}

/** Reads the query of an address: "?debug&silent&ratelimit=100000&lang=de". What is unknown or malformed counts as not said. */
export function readOptions(search: string): Options {
	const query = new URLSearchParams(search);
	const flag = (name: string) => ["", "1", "true"].includes(query.get(name) ?? "no");
	const rate = query.get("ratelimit") ?? "";
	return {
		debug: flag("debug"),
		silent: flag("silent"),
		rateLimit: /^\d{1,12}$/.test(rate) ? Number(rate) : 0,
		lang: query.get("lang") ?? "",
	};
}
