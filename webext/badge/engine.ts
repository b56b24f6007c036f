// The engine of the badge, a script of its own: visitors who do not switch the badge on do not load it.
import { LocalRunner, type Tell } from "../shell/engine.ts";
import type { Runner } from "../shell/runner.ts";
import { inWorker, startWorker } from "./worker.ts";

/** What this script hands over: an engine with timers and requests in a Worker, where there can be one. */
export type MakeRunner = (tell: Tell) => Runner;

/** The element that has loaded this script. */
export type EngineScript = HTMLScriptElement & { makeRunner?: MakeRunner };

(document.currentScript as EngineScript).makeRunner = (tell) =>
	new LocalRunner(tell, async (ports) => {
		const worker = await startWorker("timer-worker.js");
		return worker ? inWorker(ports, worker) : ports;
	});
