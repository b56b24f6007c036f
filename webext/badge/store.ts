import type { Store, Stored } from "../shell/host.ts";

/** Stands before each name: the origin may have other pages. */
const prefix = "flurry-";

/** What a badge keeps for each embedding site. */
export interface BadgeStore extends Store {
	/** Whether it outlives this page. */
	readonly lasts: boolean;
}

/**
 * The storage of the browser for the badge on this embedding site. Where there is none, as in a sandboxed frame or with storage
 * of others' pages forbidden, all is forgotten with the page.
 */
export function openStore(window: { readonly localStorage: Storage }): BadgeStore {
	const memory: Stored = {};
	const storage = usable(window);
	return {
		lasts: storage !== null,
		async load() {
			return { settings: read(storage, "settings") ?? memory.settings, ledger: read(storage, "ledger") ?? memory.ledger };
		},
		async save(some) {
			Object.assign(memory, some);
			try {
				for (const [name, value] of Object.entries(some)) storage?.setItem(prefix + name, JSON.stringify(value));
			} catch {
				// Full, or forbidden meanwhile: it holds as long as this page.
			}
		},
	};
}

/** What is stored by a name, undefined if nothing is, or nothing that can be read. */
function read(storage: Storage | null, name: string): unknown {
	try {
		return JSON.parse(storage?.getItem(prefix + name) ?? "");
	} catch {
		return undefined;
	}
}

/** The storage if it can be read and written: to look is not enough, some browsers throw only then. */
function usable(window: { readonly localStorage: Storage }): Storage | null {
	try {
		const { localStorage } = window;
		localStorage.setItem(`${prefix}test`, "1");
		localStorage.removeItem(`${prefix}test`);
		return localStorage;
	} catch {
		return null;
	}
}
