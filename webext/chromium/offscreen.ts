// The offscreen document: the engine lives here, because a service worker has no WebRTC and does not last. Of the extension's
// interfaces there is only chrome.runtime: settings come, and what the engine tells goes, as messages (link.ts).
import { LocalRunner } from "../shell/engine.ts";
import type { Command, Failure, Report } from "./link.ts";
import { Reporter } from "./reporter.ts";

/** Begins to listen for commands. */
export function offscreenDocument(): void {
	const reporter = new Reporter((report) => chrome.runtime.sendMessage(report));
	const runner = new LocalRunner(async (snapshot, deltas) => reporter.note(snapshot, deltas));

	async function obey(command: Command): Promise<Report> {
		switch (command.do) {
			case "apply":
				reporter.watch(command.watched);
				await runner.apply(command.settings, command.used);
				break;
			case "stop":
				await runner.stop(command.drain);
				break;
			case "retry":
				await runner.retry();
				break;
			case "watch":
				reporter.watch(command.watched);
				break;
		}
		return reporter.report;
	}

	chrome.runtime.onMessage.addListener((command: Command, sender, answer: (answer: Report | Failure) => void) => {
		if (sender.id !== chrome.runtime.id || command.to !== "engine") return false;
		obey(command).then(answer, (error) => answer({ error: String(error) }));
		return true;
	});
}
