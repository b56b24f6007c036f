import type { Locale, Messages } from "../ui/words.ts";

/**
 * Loads the messages of a locale from words/, where build.mjs has put them as scripts which hand them to their element: in a
 * sandboxed frame, scripts load and data does not.
 */
export function loadMessages(locale: Locale): Promise<Messages> {
	return new Promise((resolve, reject) => {
		const script: HTMLScriptElement & { messages?: Messages } = document.createElement("script");
		script.src = `words/${locale}.js`;
		script.onload = () => (script.messages ? resolve(script.messages) : reject(new Error(`no messages in ${script.src}`)));
		script.onerror = () => reject(new Error(`no ${script.src}`));
		document.head.append(script);
	});
}
