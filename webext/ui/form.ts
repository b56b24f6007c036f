import type { Backend, Settings } from "../core/types.ts";
import { type Kit, type Part, setAttributes, setText } from "./kit.ts";

/** The settings that are a number, chosen from a list. */
type NumberSetting = "maxClients" | "rateLimit" | "monthlyBudget";

/** The settings that are on or off. */
type SwitchSetting = "onlyCharging" | "onlyUnmetered" | "background";

const gigabyte = 1e9;

/** What can be chosen: people at once, bytes a second, bytes a month; 0: no limit. */
const choices: Readonly<Record<NumberSetting, readonly number[]>> = {
	maxClients: [1, 2, 3, 4, 5],
	rateLimit: [0, 100e3, 250e3, 500e3, 1e6, 2e6, 5e6],
	monthlyBudget: [0, 10 * gigabyte, 50 * gigabyte, 100 * gigabyte, 500 * gigabyte],
};

/** The choice that lets a volunteer type an amount. */
const other = "other";

/** The largest budget that can be typed, in GB: more than any line carries in a month. */
const largestBudget = 999_999;

/** The settings as form controls, each named after its key in Settings. What this browser cannot do is not offered. */
export function form({ make, said, words, ask }: Kit, backend: Backend): Part {
	// While a change is on its way, an older view must not undo what the volunteer sees.
	let pending = 0;
	const change = async (settings: Partial<Omit<Settings, "enabled">>) => {
		pending++;
		const done = await ask({ do: "set", settings });
		pending--;
		return done;
	};
	const row = (name: keyof Settings & (NumberSetting | SwitchSetting), ...controls: HTMLElement[]) =>
		make("div", { class: "row" }, said("label", name, { for: name }), ...controls);

	const amount = make("input", { type: "number", min: "1", max: `${largestBudget}`, "aria-label": words.say("amount") });
	amount.hidden = true;
	amount.addEventListener("change", () => {
		const typed = Math.round(Number(amount.value));
		if (typed >= 1 && typed <= largestBudget) void change({ monthlyBudget: typed * gigabyte });
	});
	const used = make("p", { class: "hint", id: "used" });
	const budget = choice("monthlyBudget", words.bytes, amount, used);
	budget.select.append(said("option", other, { value: other }));
	setAttributes(budget.select, { "aria-describedby": used.id });
	const lists = [choice("maxClients", words.people), choice("rateLimit", words.rate), budget];
	const boxes = [box("onlyCharging", "battery"), box("onlyUnmetered", "metered"), box("background", "background")];

	return {
		node: make("details", {}, said("summary", "settings"), ...[...lists, ...boxes].map((entry) => entry.row)),
		show({ settings, totals, capabilities }) {
			setText(used, words.say("used", words.bytes(totals.month.bytes)));
			for (const { row, capability } of boxes) row.hidden = !capabilities[capability];
			if (pending) return;
			for (const { box, name } of boxes) box.checked = settings[name];
			// While an amount can be typed, the choice says so.
			for (const list of lists) if (list !== budget || amount.hidden) list.show(settings[list.name]);
		},
	};

	/** A list of numbers, to which a value that is set but not in it is added. */
	function choice(name: NumberSetting, text: (n: number) => string, ...more: HTMLElement[]) {
		const select = make("select", { name, id: name });
		const add = (n: number) => {
			const option = make("option", { value: `${n}` });
			setText(option, n ? text(n) : words.say("no_limit"));
			select.append(option);
		};
		choices[name].forEach(add);
		select.addEventListener("change", () => {
			const { value } = select;
			if (name === "monthlyBudget") amount.hidden = value !== other;
			if (value === other) amount.focus();
			else void change({ [name]: Number(value) });
		});
		return {
			name,
			select,
			row: row(name, select, ...more),
			show(n: number) {
				if (![...select.options].some((option) => option.value === `${n}`)) add(n);
				if (select.value !== `${n}`) select.value = `${n}`;
			},
		};
	}

	/** A box to tick, shown to those whose browser has the capability. */
	function box(name: SwitchSetting, capability: "battery" | "metered" | "background") {
		const box = make("input", { type: "checkbox", name, id: name });
		box.addEventListener("change", async () => {
			const { checked } = box;
			// The question to the browser must be asked in the handler itself, before anything is awaited.
			const permitted = name === "background" && checked ? backend.requestBackground?.() : true;
			if ((await permitted) === false || !(await change({ [name]: checked }))) box.checked = !checked;
		});
		return { name, capability, box, row: row(name, box) };
	}
}
