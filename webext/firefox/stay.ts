import { api } from "../shell/api.ts";

/** How often an interface is called while the engine runs, in ms: safely within the 30 s after which the page would be stopped. */
const stayEvery = 20_000;

/** Keeps the page from being stopped for idleness, while the engine runs. */
export class Stay {
	#timer: ReturnType<typeof setInterval> | undefined;

	/** Begins to keep it, or ends. */
	set(stay: boolean): void {
		if (stay) {
			this.#timer ??= setInterval(() => void api.runtime.getPlatformInfo(), stayEvery);
		} else {
			clearInterval(this.#timer);
			this.#timer = undefined;
		}
	}
}
