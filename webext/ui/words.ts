// The port for words: messages in the format of browser extensions (_locales), and numbers as the same language writes them.

import type en from "../_locales/en/messages.json";

/** The name of a message. */
export type Key = keyof typeof en;

/** The name of a message with plural forms: each form is a message of its own, named after its category. */
export type PluralKey = Key extends infer K ? (K extends `${infer Name}_other` ? Name : never) : never;

/** The languages there are messages in, as folders of _locales. The first is the default. */
export const locales = ["en", "de", "es", "fa", "ru", "zh_CN", "ar", "tr"] as const;

/** A folder of _locales. */
export type Locale = (typeof locales)[number];

/** Units of data, each 1000 times the one before. None smaller is shown. */
const prefixes = ["kilo", "mega", "giga", "tera"];

/** Languages of `locales` that are written from right to left. */
const rightToLeft = ["ar", "fa"];

/** A file messages.json, as chrome.i18n reads it. */
export type Messages = Readonly<
	Record<string, { readonly message: string; readonly placeholders?: Readonly<Record<string, { readonly content: string }>> }>
>;

/** Words and numbers in one language. */
export interface Words {
	/** BCP 47 tag of the language that the messages are in, which need not be the browser's. */
	readonly lang: string;
	readonly dir: "ltr" | "rtl";
	/** A message, its placeholders filled in order. */
	say(key: Key, ...values: string[]): string;
	/** The form of a message for n, which is its first placeholder. */
	count(key: PluralKey, n: number): string;
	/** A count of people, shortened from 10,000 on so that it fits everywhere. */
	people(n: number): string;
	/** An amount of data, in decimal units. */
	bytes(n: number): string;
	/** Bytes a second. */
	rate(n: number): string;
}

/** The words of an extension: the browser chooses the language. */
export function browserWords(): Words {
	return wordsFrom((key, values) => chrome.i18n.getMessage(key, values));
}

/** The words of a page: the first of the visitor's languages that there is, loaded by `load`. */
export async function fetchWords(languages: readonly string[], load: (locale: Locale) => Promise<Messages>): Promise<Words> {
	const messages = await load(chooseLocale(languages));
	return wordsFrom((key, values) => fill(messages[key], values));
}

/** The locale for a list of BCP 47 tags in order of preference, as in navigator.languages. */
export function chooseLocale(languages: readonly string[]): Locale {
	for (const tag of languages) {
		const language = tag.toLowerCase().split("-")[0];
		const found = locales.find((locale) => locale.split("_")[0] === language);
		if (found) return found;
	}
	return locales[0];
}

/** A message with its placeholders replaced, as chrome.i18n.getMessage does it; "" if there is none. */
function fill(entry: Messages[string] | undefined, values: readonly string[]): string {
	if (!entry) return "";
	const named = entry.message.replace(/\$(\w+)\$/g, (_, name: string) => entry.placeholders?.[name.toLowerCase()]?.content ?? "");
	return named.replace(/\$([1-9])/g, (_, place: string) => values[Number(place) - 1] ?? "");
}

/** Words whose messages are found by `lookup`. */
function wordsFrom(lookup: (key: string, values: string[]) => string): Words {
	const lang = lookup("lang", []);
	const plural = new Intl.PluralRules(lang);
	const format = (n: number, options: Intl.NumberFormatOptions) => new Intl.NumberFormat(lang, options).format(n);
	const dir = rightToLeft.includes(lang) ? "rtl" : "ltr";
	const people = (n: number) => format(n, n < 1e4 ? {} : { notation: "compact", maximumSignificantDigits: 3 });
	const amount = (n: number, suffix: string) => {
		// A unit begins a little early, so that no number has four digits.
		let power = 0;
		while (power < prefixes.length - 1 && n >= 999.5 * 1000 ** (power + 1)) power++;
		const scaled = n / 1000 ** (power + 1);
		return format(scaled, {
			style: "unit",
			unit: `${prefixes[power]}byte${suffix}`,
			// In Arabic script, short is not short enough.
			unitDisplay: dir === "rtl" ? "narrow" : "short",
			maximumFractionDigits: power && scaled < 9.95 ? 1 : 0,
		});
	};
	return {
		lang,
		dir,
		say: (key, ...values) => lookup(key, values),
		count: (key, n) => lookup(`${key}_${plural.select(n)}`, [people(n)]),
		people,
		bytes: (n) => amount(n, ""),
		rate: (n) => amount(n, "-per-second"),
	};
}
