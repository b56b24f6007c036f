// The offscreen document: the engine lives here, because a service worker has no WebRTC and does not last. Of the extension's
// interfaces there is only chrome.runtime: settings come, and what the engine tells goes, as messages (link.ts).
import { LocalRunner } from "../shell/engine.ts";
import { answerTo, listen } from "../shell/messages.ts";
import type { Command, Report } from "./link.ts";
import { Reporter } from "./reporter.ts";

/** Begins to listen for commands. */
export function offscreenDocument(): void {
	const reporter = new Reporter((report) => answerTo(chrome.runtime.sendMessage(report)));
	const runner = new LocalRunner(async (snapshot, deltas) => reporter.note(snapshot, deltas));

	listen<Command>("engine", async (command): Promise<Report> => {
		if ("watched" in command) reporter.watch(command.watched);
		if (command.do === "apply") await runner.apply(command.settings, command.used);
		if (command.do === "stop") await runner.stop(command.drain);
		if (command.do === "retry") await runner.retry();
		return reporter.report;
	});
}
