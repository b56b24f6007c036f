import type { Backend, Intent, Settings } from "../core/types.ts";
import { maker, type Part, setText } from "./dom.ts";
import type { Key, Words } from "./words.ts";

/** The settings that are a number, chosen from a list. */
type NumberSetting = "maxClients" | "rateLimit" | "monthlyBudget";

/** The settings that are on or off. */
type SwitchSetting = "onlyCharging" | "onlyUnmetered" | "background";

/** How many people at once may be allowed. */
const peopleChoices = [1, 2, 3, 4, 5];

/** Speed limits to choose from, bytes a second; 0: none. */
const rateChoices = [0, 100e3, 250e3, 500e3, 1e6, 2e6, 5e6];

const gigabyte = 1e9;

/** Monthly budgets to choose from, bytes; 0: none. */
const budgetChoices = [0, 10 * gigabyte, 50 * gigabyte, 100 * gigabyte, 500 * gigabyte];

/** The choice that lets a volunteer type an amount. */
const other = "other";

/** The largest budget that can be typed, in GB: more than any line carries in a month. */
const largestBudget = 999_999;

/** Sends what a volunteer asks for; tells whether it was done. Never rejects. */
export type Ask = (intent: Intent) => Promise<boolean>;

/** The settings as form controls, each named after its key in Settings. What this browser cannot do is not offered. */
export function form(document: Document, backend: Backend, words: Words, ask: Ask): Part {
	const make = maker(document);
	// While a change is on its way, an older view must not undo what the volunteer sees.
	let pending = 0;
	const change = async (settings: Partial<Omit<Settings, "enabled">>) => {
		pending++;
		const done = await ask({ do: "set", settings });
		pending--;
		return done;
	};
	const row = (name: Key, control: HTMLElement, ...more: HTMLElement[]) =>
		make("div", { class: "row" }, make("label", { for: control.id }, words.say(name)), control, ...more);

	const limit = (n: number, text: (n: number) => string) => (n === 0 ? words.say("no_limit") : text(n));
	const people = choice("maxClients", peopleChoices, words.people);
	const rate = choice("rateLimit", rateChoices, (n) => limit(n, words.rate));
	const budget = choice("monthlyBudget", budgetChoices, (n) => limit(n, words.bytes));
	const amount = make("input", {
		type: "number",
		min: "1",
		max: String(largestBudget),
		step: "1",
		inputmode: "numeric",
		"aria-label": words.say("amount"),
	});
	amount.hidden = true;
	const used = make("p", { class: "hint", id: "used" });
	budget.select.append(make("option", { value: other }, words.say("other")));
	budget.select.setAttribute("aria-describedby", used.id);
	amount.addEventListener("change", () => {
		const typed = Math.round(Number(amount.value));
		if (typed >= 1 && typed <= largestBudget) void change({ monthlyBudget: typed * gigabyte });
	});
	const switches = (["onlyCharging", "onlyUnmetered", "background"] as const).map(check);

	const node = make("details", { class: "panel" }, make("summary", {}, words.say("settings")));
	node.append(
		row("maxClients", people.select),
		row("rateLimit", rate.select),
		row("monthlyBudget", budget.select, amount, used),
		...switches.map((entry) => entry.row),
	);
	return {
		node,
		show({ settings, totals, capabilities }) {
			const { battery, metered, background } = capabilities;
			const offered: Record<SwitchSetting, boolean> = { onlyCharging: battery, onlyUnmetered: metered, background };
			for (const entry of switches) entry.row.hidden = !offered[entry.name];
			setText(used, words.say("used", words.bytes(totals.month.bytes)));
			if (pending > 0) return;
			for (const entry of switches) entry.box.checked = settings[entry.name];
			people.show(settings.maxClients);
			rate.show(settings.rateLimit);
			// While an amount can be typed, the choice says so.
			if (amount.hidden) budget.show(settings.monthlyBudget);
		},
	};

	/** A list of numbers, to which a value that is set but not in it is added. */
	function choice(name: NumberSetting, values: readonly number[], text: (n: number) => string) {
		const select = make("select", { name, id: name });
		const add = (n: number) => select.append(make("option", { value: String(n) }, text(n)));
		values.forEach(add);
		select.addEventListener("change", () => {
			if (name === "monthlyBudget") amount.hidden = select.value !== other;
			if (select.value === other) amount.focus();
			else void change({ [name]: Number(select.value) });
		});
		return {
			select,
			show(n: number) {
				const value = String(n);
				if (select.value === value) return;
				if (![...select.options].some((option) => option.value === value)) add(n);
				select.value = value;
			},
		};
	}

	/** A box to tick. */
	function check(name: SwitchSetting) {
		const box = make("input", { type: "checkbox", name, id: name });
		box.addEventListener("change", async () => {
			const wanted = box.checked;
			// The question to the browser must be asked in the handler itself, before anything is awaited.
			const permitted = name === "background" && wanted ? (backend.requestBackground?.() ?? true) : true;
			if (!((await permitted) && (await change({ [name]: wanted })))) box.checked = !wanted;
		});
		return { name, box, row: row(name, box) };
	}
}
