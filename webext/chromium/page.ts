import type { Settings } from "../core/types.ts";
import { answerTo } from "../shell/messages.ts";
import type { Runner } from "../shell/runner.ts";
import { turns } from "../shell/turns.ts";
import type { Command, Report } from "./link.ts";

/** How long the offscreen document may take to answer, in ms, before it counts as dead. */
const patience = 5_000;

/**
 * The offscreen document, as the service worker has it: opened when there is something to do, closed and opened anew when it does
 * not answer, closed when it has nothing to do.
 */
export class OffscreenPage implements Runner {
	readonly #hear: (report: Report) => Promise<void>;
	#watched = false;
	/** What was asked for last is that the engine runs. */
	#wanted = false;
	/** One thing at a time, so that there is never a second document. */
	readonly #inTurn = turns();

	/** hear is told each answer of the document. */
	constructor(hear: (report: Report) => Promise<void>) {
		this.#hear = hear;
	}

	apply(settings: Settings, used: number): Promise<void> {
		this.#wanted = true;
		return this.#inTurn(async () => {
			await open();
			const command: Command = { to: "engine", do: "apply", settings, used, watched: this.#watched };
			const report = await ask(command).catch(async () => {
				await close();
				await open();
				return ask(command);
			});
			await this.#hear(report);
		});
	}

	stop(drain: boolean): Promise<void> {
		this.#wanted = false;
		return this.#inTurn(async () => {
			if (!(await isOpen())) return;
			const report = await ask({ to: "engine", do: "stop", drain }).catch(close);
			if (report) await this.#hear(report);
		});
	}

	retry(): Promise<void> {
		return this.#tell({ to: "engine", do: "retry" });
	}

	watch(watched: boolean): Promise<void> {
		this.#watched = watched;
		return this.#tell({ to: "engine", do: "watch", watched });
	}

	/** Closes the document, whose engine is off, unless it has been given something to do since. */
	rest(): Promise<void> {
		return this.#inTurn(async () => {
			if (!this.#wanted) await close();
		});
	}

	/** Tells the document, if there is one. */
	#tell(command: Command): Promise<void> {
		return this.#inTurn(async () => {
			if (await isOpen()) await this.#hear(await ask(command));
		});
	}
}

/** Rejects if there is no good answer in time. */
function ask(command: Command): Promise<Report> {
	const late = new Promise<undefined>((resolve) => setTimeout(resolve, patience));
	return answerTo<Report>(Promise.race([chrome.runtime.sendMessage(command), late]));
}

async function isOpen(): Promise<boolean> {
	return (await chrome.runtime.getContexts({ contextTypes: ["OFFSCREEN_DOCUMENT" as chrome.runtime.ContextType] })).length > 0;
}

async function open(): Promise<void> {
	if (await isOpen()) return;
	await chrome.offscreen.createDocument({
		url: "offscreen.html",
		reasons: ["WEB_RTC" as chrome.offscreen.Reason],
		justification: "WebRTC connections to people who are helped.",
	});
}

async function close(): Promise<void> {
	if (await isOpen()) await chrome.offscreen.closeDocument();
}
