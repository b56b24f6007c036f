// What the parts of the view are made with. No markup is ever parsed: the content security policy stays strict, and words stay words.

import type { View } from "../core/types.ts";

/** Makes an element with attributes and children. */
export type Make = <K extends keyof HTMLElementTagNameMap>(
	tag: K,
	attributes?: Readonly<Record<string, string>>,
	...children: (Node | string)[]
) => HTMLElementTagNameMap[K];

/** One piece of the view. Its elements are made once; show changes only what differs, so that focus and selection stay. */
export interface Part {
	readonly node: HTMLElement;
	show(view: View): void;
}

/** Returns a Make for elements of document. */
export function maker(document: Document): Make {
	return (tag, attributes = {}, ...children) => {
		const element = document.createElement(tag);
		for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
		element.append(...children);
		return element;
	};
}

/** Gives node its text, if it has another. */
export function setText(node: Node, text: string): void {
	if (node.textContent !== text) node.textContent = text;
}

/** Gives element an attribute, if it has another value. */
export function setAttribute(element: Element, name: string, value: string): void {
	if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** Hides element or shows it. A focus that would be lost goes to heir. */
export function setHidden(element: HTMLElement, hidden: boolean, heir: HTMLElement): void {
	if (hidden && element.ownerDocument.activeElement === element) heir.focus();
	element.hidden = hidden;
}
