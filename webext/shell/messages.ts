import { api } from "./api.ts";

// Messages between the pages of the extension. Each is for one of them, and is answered.

/** A message: to is the page that it is for. */
interface Message {
	to: string;
}

/** What stands for an answer if there is none. */
interface Failure {
	error: string;
}

/** The answer to what was sent. Rejects if the other page is not there, or could not do what it was asked for. */
export async function answerTo<Answer extends object>(sent: Promise<Answer | Failure | undefined>): Promise<Answer> {
	const answer = await sent;
	if (!answer || "error" in answer) throw new Error(answer?.error);
	return answer;
}

/** Answers the messages to this page with what becomes of answer. */
export function listen<M extends Message>(to: M["to"], answer: (message: M) => Promise<object>): void {
	api.runtime.onMessage.addListener((message: M, sender, respond: (answer: object) => void) => {
		if (sender.id !== api.runtime.id || message.to !== to) return false;
		answer(message).then(respond, (error) => respond({ error: `${error}` }));
		return true;
	});
}
