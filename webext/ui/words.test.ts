import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { chooseLocale, fetchWords, locales, type Messages } from "./words.ts";

// The tests run in webext/.
const messages = new Map(locales.map((locale) => [locale, read(locale)]));
const english = messages.get("en") as Messages;

function read(locale: string): Messages {
	return JSON.parse(readFileSync(`_locales/${locale}/messages.json`, "utf8"));
}

/** The names of messages that have plural forms, as the English ones show. */
const plurals = Object.keys(english).flatMap((key) => (key.endsWith("_other") ? [key.slice(0, -"_other".length)] : []));

/** The message that a plural form belongs to, and its category; null for others. */
function pluralForm(key: string): [string, Intl.LDMLPluralRule] | null {
	const name = plurals.find((plural) => key.startsWith(`${plural}_`));
	return name ? [name, key.slice(name.length + 1) as Intl.LDMLPluralRule] : null;
}

function wordsOf(locale: string) {
	return fetchWords([locale.replace("_", "-")], async (chosen) => messages.get(chosen) as Messages);
}

test("every folder of _locales is a known language", () => {
	assert.deepEqual(readdirSync("_locales").sort(), [...locales].sort());
});

for (const [locale, entries] of messages) {
	const lang = locale.replace("_", "-");

	test(`${locale} has the messages of English`, () => {
		const simple = (all: Messages) => Object.keys(all).filter((key) => !pluralForm(key));
		assert.deepEqual(simple(entries).sort(), simple(english).sort());
		for (const key of Object.keys(entries)) assert.match(key, /^[A-Za-z0-9_]+$/);
	});

	test(`${locale} has every plural form of its language and no other`, () => {
		const { pluralCategories } = new Intl.PluralRules(lang).resolvedOptions();
		for (const plural of plurals) {
			const forms = Object.keys(entries).flatMap((key) => {
				const form = pluralForm(key);
				return form?.[0] === plural ? [form[1]] : [];
			});
			assert.deepEqual(forms.sort(), [...pluralCategories].sort());
		}
	});

	test(`${locale} has the placeholders of English`, () => {
		const rules = new Intl.PluralRules(lang);
		for (const [key, entry] of Object.entries(entries)) {
			const form = pluralForm(key);
			const model = english[form ? `${form[0]}_other` : key] as Messages[string];
			// A form for one number only, like "two", may say it in a word.
			const numbers = Array.from({ length: 200 }, (_, n) => n).filter((n) => rules.select(n) === form?.[1]);
			if (numbers.length === 1 && !entry.placeholders) continue;
			assert.deepEqual(entry.placeholders, model.placeholders, key);
			const used = [...entry.message.matchAll(/\$(\w+)\$/g)].map(([, name]) => name?.toLowerCase());
			assert.deepEqual(used.sort(), Object.keys(model.placeholders ?? {}).sort(), key);
		}
	});

	test(`${locale} has texts and no HTML`, () => {
		for (const [key, { message }] of Object.entries(entries)) {
			assert.notEqual(message.trim(), "", key);
			assert.equal(message, message.trim(), key);
			assert.doesNotMatch(message, /[<>]|&\w+;/, key);
		}
	});

	test(`${locale} fits into the stores`, () => {
		assert.ok((entries.appName?.message.length ?? 0) <= 45);
		assert.ok((entries.appDesc?.message.length ?? 0) <= 132);
	});

	test(`${locale} says which language it is in, and how that is written`, async () => {
		const words = await wordsOf(locale);
		assert.equal(words.lang, lang);
		const { direction } = (new Intl.Locale(lang) as unknown as { textInfo: { direction: string } }).textInfo;
		assert.equal(words.dir, direction);
	});
}

test("the first language that there is", () => {
	assert.equal(chooseLocale(["de-AT", "en"]), "de");
	assert.equal(chooseLocale(["cy", "TR", "en"]), "tr");
	assert.equal(chooseLocale(["zh-Hant-TW"]), "zh_CN");
	assert.equal(chooseLocale(["fa"]), "fa");
	assert.equal(chooseLocale(["cy"]), "en");
	assert.equal(chooseLocale([]), "en");
});

test("placeholders are filled in order, and plural forms follow the number", async () => {
	const en = await wordsOf("en");
	assert.match(en.say("graph", "1 GB", "$1 <b>"), /1 GB.*\$1 <b>/);
	assert.equal(en.count("title_helping", 1), "Helping 1 person");
	assert.equal(en.count("title_helping", 2), "Helping 2 people");
	const ru = await wordsOf("ru");
	assert.equal(ru.count("title_helping", 21), ru.say("title_helping_one", "21"));
});

test("amounts of data have a unit and at most three digits", async () => {
	const { bytes, rate, people } = await wordsOf("en");
	assert.deepEqual([0, 999_499, 999_500, 1_250_000, 12_500_000, 999_499_999, 999_500_000, 3.21e12].map(bytes), [
		"0 kB",
		"999 kB",
		"1 MB",
		"1.3 MB",
		"13 MB",
		"999 MB",
		"1 GB",
		"3.2 TB",
	]);
	assert.equal(rate(412e3), "412 kB/s");
	assert.equal(people(9999), "9,999");
	assert.equal(people(12_345), "12.3K");
});
