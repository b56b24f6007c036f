// As much of a document as the view uses, so that it can be tried without a browser.

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

	/** Of a select that nobody has set: its first option, as in browsers. */
	get value(): string {
		return this.#value ?? this.attributes.get("value") ?? this.options[0]?.value ?? "";
	}

	set value(value: string) {
		this.#value = value;
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

	append(...children: (FakeElement | string)[]): void {
		this.children.push(...children);
	}

	replaceChildren(...children: (FakeElement | string)[]): void {
		this.children.splice(0, Number.POSITIVE_INFINITY, ...children);
	}

	getAttribute(name: string): string | null {
		return this.attributes.get(name) ?? null;
	}

	setAttribute(name: string, value: string): void {
		this.attributes.set(name, value);
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
}

/** A document with an empty body. */
export class FakeDocument {
	readonly documentElement = new FakeElement(this, "html");
	readonly body = new FakeElement(this, "body");
	activeElement: FakeElement | null = null;
	/** How often a text was set. */
	texts = 0;

	createElement(tag: string): FakeElement {
		return new FakeElement(this, tag);
	}

	createElementNS(_: string, tag: string): FakeElement {
		return new FakeElement(this, tag);
	}
}
