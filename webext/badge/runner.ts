import { normalise } from "../core/settings.ts";
import type { Settings } from "../core/types.ts";
import type { Tell } from "../shell/engine.ts";
import type { Runner } from "../shell/runner.ts";
import type { EngineScript } from "./engine.ts";
import { loadScript } from "./script.ts";

/** The engine of a badge: loaded when it is first needed, and no faster than the embedding page allows. */
export class BadgeRunner implements Runner {
	readonly #rateLimit: number;
	readonly #tell: Tell;
	#loaded: Promise<Runner> | null = null;

	/** rateLimit is in bytes a second; 0: none. */
	constructor(rateLimit: number, tell: Tell) {
		this.#rateLimit = rateLimit;
		this.#tell = tell;
	}

	async apply(settings: Settings, used: number): Promise<void> {
		this.#loaded ??= this.#load();
		const runner = await this.#loaded;
		await runner.apply(normalise({ ...settings, rateLimit: lower(settings.rateLimit, this.#rateLimit) }), used);
	}

	async stop(drain: boolean): Promise<void> {
		await (await this.#loaded)?.stop(drain);
	}

	async retry(): Promise<void> {
		await (await this.#loaded)?.retry();
	}

	async watch(watched: boolean): Promise<void> {
		await (await this.#loaded)?.watch(watched);
	}

	/** Once it could not be loaded, the next who needs it tries again. */
	async #load(): Promise<Runner> {
		try {
			const { makeRunner }: EngineScript = await loadScript("engine.js");
			if (!makeRunner) throw new Error("engine.js has no engine");
			return makeRunner(this.#tell);
		} catch (error) {
			this.#loaded = null;
			throw error;
		}
	}
}

/** The lower of two limits, of which 0 is none. */
function lower(a: number, b: number): number {
	return a && b ? Math.min(a, b) : a || b;
}
