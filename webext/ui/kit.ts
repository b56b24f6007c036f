import type { Intent, View } from "../core/types.ts";
import type { Words } from "./words.ts";

/** One piece of the view: shows it, changing only what differs, so that focus and selection stay. */
export type Part = (view: View) => void;

/** Sends what a volunteer asks for; tells whether it was done. Never rejects. */
export type Ask = (intent: Intent) => Promise<boolean>;

/** What the parts of the view are made with. */
export interface Kit {
	readonly words: Words;
	readonly ask: Ask;
	/** The first element of the view for a selector. */
	find<E extends Element = HTMLElement>(selector: string): E;
	/** All of them. */
	all<E extends Element = HTMLElement>(selector: string): E[];
}

/** Gives element its attributes. */
export function setAttributes(element: Element, attributes: Readonly<Record<string, string>>): void {
	for (const name in attributes) element.setAttribute(name, attributes[name] as string);
}

/** Gives node its text, if it has another: what is the same is not spoken again. */
export function setText(node: Node, text: string): void {
	if (node.textContent !== text) node.textContent = text;
}
