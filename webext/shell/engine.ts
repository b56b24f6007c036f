import { Engine } from "../core/engine.ts";
import type { Ports } from "../core/ports.ts";
import type { Delta, Settings, Snapshot } from "../core/types.ts";
import { browserPorts } from "../ports/browser.ts";
import { accepting } from "../ports/webtransport.ts";
import { isTestBuild, readConfig } from "./config.ts";
import type { Runner } from "./runner.ts";

/** Takes what the engine tells: the present, and what it adds to the counters. */
export type Tell = (snapshot: Snapshot, deltas: readonly Delta[]) => Promise<void>;

/** The engine in this page. It is made at once; if that fails, all that is asked of it rejects with the reason. */
export class LocalRunner implements Runner {
	readonly #tell: Tell;
	readonly #engine: Promise<Engine>;

	/** adapt may replace some of the browser's ports. */
	constructor(tell: Tell, adapt: (ports: Ports) => Ports | Promise<Ports> = (ports) => ports) {
		this.#tell = tell;
		this.#engine = this.#make(adapt);
		this.#engine.catch(() => {}); // told to each who asks
	}

	async apply(settings: Settings, used: number): Promise<void> {
		const engine = await this.#engine;
		// Of one that runs, the engine knows better than the storage what the month has cost.
		if (["off", "draining"].includes(engine.snapshot().phase)) engine.start(settings, used);
		else engine.update(settings);
	}

	async stop(drain: boolean): Promise<void> {
		void (await this.#engine).stop({ drain }); // its end is told as any change
	}

	async retry(): Promise<void> {
		(await this.#engine).retry();
	}

	async watch(): Promise<void> {
		await this.#tell((await this.#engine).snapshot(), []);
	}

	async #make(adapt: (ports: Ports) => Ports | Promise<Ports>): Promise<Engine> {
		const config = await readConfig();
		const hashes = isTestBuild() && config.certificateHashes;
		const options = hashes ? accepting(hashes) : undefined;
		const engine: Engine = new Engine(config, await adapt(browserPorts(options)), {
			snapshot: (snapshot) => void this.#tell(snapshot, []),
			delta: (delta) => void this.#tell(engine.snapshot(), [delta]),
		});
		return engine;
	}
}
