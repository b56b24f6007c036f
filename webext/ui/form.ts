import type { Backend, Settings } from "../core/types.ts";
import { type Kit, type Part, setText } from "./kit.ts";

/** The settings that are a number, chosen from a list. */
type NumberSetting = "maxClients" | "rateLimit" | "monthlyBudget";

/** The settings that are on or off. */
type SwitchSetting = "onlyCharging" | "onlyUnmetered" | "background";

const gigabyte = 1e9;

/** The choice that lets a volunteer type an amount. */
const other = "other";

/** The largest budget that can be typed, in GB: more than any line carries in a month. */
const largestBudget = 999_999;

/** The settings as form controls, each named after its key in Settings. */
export function form({ find, all, words, ask }: Kit, backend: Backend): Part {
	// While a change is on its way, an older view must not undo what the volunteer sees.
	let pending = 0;
	const change = async (settings: Partial<Omit<Settings, "enabled">>) => {
		pending++;
		const done = await ask({ do: "set", settings });
		pending--;
		return done;
	};
	const amount = find<HTMLInputElement>("[type=number]");
	amount.addEventListener("change", () => {
		const typed = Math.round(Number(amount.value));
		if (typed >= 1 && typed <= largestBudget) void change({ monthlyBudget: typed * gigabyte });
	});
	const used = find("#used");
	const boxes = all<HTMLInputElement>("[type=checkbox]").map(box);
	const lists = [list("maxClients", words.people), list("rateLimit", words.rate), list("monthlyBudget", words.bytes)];
	return ({ settings, totals }) => {
		setText(used, words.say("used", words.bytes(totals.month.bytes)));
		if (!pending) for (const show of [...boxes, ...lists]) show(settings);
	};

	/** A list of numbers, to which a value that is set but not in it is added. */
	function list(name: NumberSetting, text: (n: number) => string) {
		const select = find<HTMLSelectElement>(`#${name}`);
		const label = (option: HTMLOptionElement) => {
			const n = Number(option.value);
			if (n) setText(option, text(n)); // the others say what they are themselves
		};
		[...select.options].forEach(label);
		select.addEventListener("change", () => {
			const { value } = select;
			if (name === "monthlyBudget") amount.hidden = value !== other;
			if (value === other) amount.focus();
			else void change({ [name]: Number(value) });
		});
		return (settings: Settings) => {
			const value = `${settings[name]}`;
			// While an amount can be typed, the choice says so.
			if (select.value === value || select.value === other) return;
			select.value = value;
			if (select.value === value) return;
			const option = select.ownerDocument.createElement("option");
			option.value = value;
			label(option);
			select.append(option);
			select.value = value;
		};
	}

	/** A box to tick. */
	function box(box: HTMLInputElement) {
		const name = box.name as SwitchSetting;
		box.addEventListener("change", async () => {
			const { checked } = box;
			// The question to the browser must be asked in the handler itself, before anything is awaited.
			const permitted = name === "background" && checked ? backend.requestBackground?.() : true;
			if ((await permitted) === false || !(await change({ [name]: checked }))) box.checked = !checked;
		});
		return (settings: Settings) => {
			box.checked = settings[name];
		};
	}
}
