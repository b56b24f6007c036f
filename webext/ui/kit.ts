// What the parts of the view are made with. No markup is ever parsed: the content security policy stays strict, and words stay words.

import type { Intent, View } from "../core/types.ts";
import type { Key, Words } from "./words.ts";

/** One piece of the view. Its elements are made once; show changes only what differs, so that focus and selection stay. */
export interface Part {
	readonly node: HTMLElement;
	show(view: View): void;
}

/** Sends what a volunteer asks for; tells whether it was done. Never rejects. */
export type Ask = (intent: Intent) => Promise<boolean>;

type Attributes = Readonly<Record<string, string>>;

/** Makes elements of one document, with words of one language. */
export interface Kit {
	readonly words: Words;
	readonly ask: Ask;
	make<K extends keyof HTMLElementTagNameMap>(tag: K, attributes: Attributes, ...children: Node[]): HTMLElementTagNameMap[K];
	/** An element that says a message. */
	said<K extends keyof HTMLElementTagNameMap>(tag: K, key: Key, attributes?: Attributes): HTMLElementTagNameMap[K];
	/** A button with a message, and with the id by which tests know it. */
	button(id: string, key: Key, intent: Intent): HTMLButtonElement;
	draw<K extends keyof SVGElementTagNameMap>(tag: K, attributes: Attributes, ...children: Node[]): SVGElementTagNameMap[K];
}

/** Returns a Kit for document. */
export function kit(document: Document, words: Words, ask: Ask): Kit {
	const fill = <E extends Element>(element: E, attributes: Attributes, children: Node[]) => {
		setAttributes(element, attributes);
		element.append(...children);
		return element;
	};
	const said: Kit["said"] = (tag, key, attributes = {}) => {
		const element = fill(document.createElement(tag), attributes, []);
		setText(element, words.say(key));
		return element;
	};
	return {
		words,
		ask,
		said,
		make: (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children),
		draw: (tag, attributes, ...children) =>
			fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children),
		button(id, key, intent) {
			const button = said("button", key, { id });
			button.addEventListener("click", () => void ask(intent));
			return button;
		},
	};
}

/** Gives element its attributes. */
export function setAttributes(element: Element, attributes: Attributes): void {
	for (const name in attributes) element.setAttribute(name, attributes[name] as string);
}

/** Gives node its text, if it has another: what is the same is not spoken again. */
export function setText(node: Node, text: string): void {
	if (node.textContent !== text) node.textContent = text;
}

/** Hides element or shows it. A focus that would be lost goes to heir. */
export function setHidden(element: HTMLElement, hidden: boolean, heir: HTMLElement): void {
	if (hidden && element.ownerDocument.activeElement === element) heir.focus();
	element.hidden = hidden;
}
