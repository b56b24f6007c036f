// As much of a document as the view uses, so that it can be tried without a browser.

/** What stands in a template: comments, tags, texts. */
const markup = /<!--[\s\S]*?-->|<(\/?)([\w-]+)((?:\s+[\w-]+(?:="[^"]*")?)*)\s*(\/?)>|[^<]+/g;

/** Elements without an end tag. */
const empty = ["input"];

/** The name by which dataset has an attribute. */
const dataName = (name: string) => name.slice("data-".length).replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());

/** An element: attributes, children, and the properties of form controls. */
export class FakeElement {
	readonly attributes = new Map<string, string>();
	readonly children: (FakeElement | string)[] = [];
	readonly dataset: Record<string, string> = {};
	readonly #listeners = new Map<string, (() => void)[]>();
	hidden = false;
	checked = false;
	#value: string | undefined;

	readonly ownerDocument: FakeDocument;
	readonly tag: string;

	constructor(ownerDocument: FakeDocument, tag: string) {
		this.ownerDocument = ownerDocument;
		this.tag = tag;
	}

	get name(): string {
		return this.attributes.get("name") ?? "";
	}

	/** Of a select that nobody has set: its first option, as in browsers. */
	get value(): string {
		return this.#value ?? this.attributes.get("value") ?? this.options[0]?.value ?? "";
	}

	/** A select takes only what is among its options, as in browsers. */
	set value(value: string) {
		this.#value = this.tag !== "select" || this.options.some((option) => option.value === value) ? value : "";
	}

	get options(): FakeElement[] {
		return this.all().filter((element) => element.tag === "option");
	}

	get firstChild(): FakeElement | string | null {
		return this.children[0] ?? null;
	}

	get textContent(): string {
		return this.children.map((child) => (typeof child === "string" ? child : child.textContent)).join("");
	}

	set textContent(text: string) {
		this.ownerDocument.texts++;
		this.children.splice(0, Number.POSITIVE_INFINITY, text);
	}

	/** A fragment gives away its children. */
	append(...children: (FakeElement | string)[]): void {
		for (const child of children) {
			const fragment = child instanceof FakeElement && child.tag === "";
			this.children.push(...(fragment ? child.children.splice(0) : [child]));
		}
	}

	replaceChildren(...children: (FakeElement | string)[]): void {
		this.children.splice(0, Number.POSITIVE_INFINITY, ...children);
	}

	getAttribute(name: string): string | null {
		return this.attributes.get(name) ?? null;
	}

	setAttribute(name: string, value: string): void {
		this.attributes.set(name, value);
		if (name === "hidden") this.hidden = true;
		if (name.startsWith("data-")) this.dataset[dataName(name)] = value;
	}

	addEventListener(type: string, listener: () => void): void {
		this.#listeners.set(type, [...(this.#listeners.get(type) ?? []), listener]);
	}

	/** Calls the listeners, as the browser does for a volunteer's doing. */
	fire(type: "click" | "change"): void {
		for (const listener of this.#listeners.get(type) ?? []) listener();
	}

	focus(): void {
		this.ownerDocument.activeElement = this;
	}

	/** All elements in it. */
	all(): FakeElement[] {
		return this.children.flatMap((child) => (typeof child === "string" ? [] : [child, ...child.all()]));
	}

	/** The only element in it with this value of an attribute. */
	find(attribute: string, value: string): FakeElement {
		const found = this.all().filter((element) => element.attributes.get(attribute) === value);
		if (found.length !== 1) throw new Error(`${found.length} elements with ${attribute}=${value}`);
		return found[0] as FakeElement;
	}

	/** Knows selectors of one part: tag, #id, .class, [attribute], [attribute=value]. */
	querySelectorAll(selector: string): FakeElement[] {
		const parts = /^(?:([a-z]+)|#([\w-]+)|\.([\w-]+)|\[([\w-]+)(?:=([\w-]+))?\])$/.exec(selector);
		if (!parts) throw new Error(`a selector that is not known here: ${selector}`);
		const [, tag, id, kind, attribute, value] = parts;
		const has = (element: FakeElement, name: string, wanted?: string) =>
			wanted === undefined ? element.attributes.has(name) : element.attributes.get(name) === wanted;
		return this.all().filter((element) => {
			if (tag) return element.tag === tag;
			if (id) return has(element, "id", id);
			return kind ? has(element, "class", kind) : has(element, attribute as string, value);
		});
	}

	querySelector(selector: string): FakeElement | null {
		return this.querySelectorAll(selector)[0] ?? null;
	}
}

/** A document with an empty body, and with a template. */
export class FakeDocument {
	readonly documentElement = new FakeElement(this, "html");
	readonly body = new FakeElement(this, "body");
	activeElement: FakeElement | null = null;
	/** How often a text was set. */
	texts = 0;
	readonly #template: { content: FakeElement };

	constructor(template: string) {
		this.#template = { content: this.#parse(template) };
	}

	createElement(tag: string): FakeElement {
		return new FakeElement(this, tag);
	}

	/** A document has a template, and its body is its main element. */
	querySelector(selector: "template"): { content: FakeElement };
	querySelector(selector: "main"): FakeElement;
	querySelector(selector: "template" | "main"): { content: FakeElement } | FakeElement {
		return selector === "template" ? this.#template : this.body;
	}

	/** Reads markup of elements that are all closed. */
	#parse(text: string): FakeElement {
		const open = [new FakeElement(this, "")];
		for (const [piece, end, tag, attributes = "", closed] of text.matchAll(markup)) {
			const parent = open.at(-1) as FakeElement;
			if (!tag) {
				if (piece.trim() && !piece.startsWith("<!--")) throw new Error(`a text that is no message: ${piece}`);
			} else if (end) {
				if (open.pop()?.tag !== tag) throw new Error(`</${tag}> ends nothing`);
			} else {
				const element = this.createElement(tag);
				for (const [, name = "", value = ""] of attributes.matchAll(/([\w-]+)(?:="([^"]*)")?/g))
					element.setAttribute(name, value);
				parent.append(element);
				if (!closed && !empty.includes(tag)) open.push(element);
			}
		}
		if (open.length !== 1) throw new Error(`<${open.at(-1)?.tag}> has no end`);
		return open[0] as FakeElement;
	}
}
