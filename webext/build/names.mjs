// Which names of members only we know, so that they can be shortened: those that our interfaces and classes declare, but for
// - all members that the platform's own declarations have, and what we declare for the platform in an assertion ("x as { … }");
// - the members of the interfaces below, whose objects are sent, stored, read from files, filled in by name or read by tests;
// - every string, by which a member might be reached, and what is read from a dataset, where markup has put it.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";

/** The interfaces and types whose members keep their names. */
const kept = [
	"PollRequest",
	"ProbeRequest",
	"Description",
	"Settings",
	"Stored",
	"Ledger",
	"Config",
	"View",
	"Snapshot",
	"Capabilities",
	"Messages",
	"Battery",
	"Connection",
];

const folders = ["core", "ports", "ui", "shell", "chromium", "firefox"];

/** The names that can be shortened in what is made of the TypeScript below root. */
export function ownNames(root) {
	const own = new Set();
	const others = new Set();
	for (const file of platform(root)) members(file, others, others);
	const sources = folders.flatMap((folder) => ts.sys.readDirectory(join(root, folder), [".ts"]));
	for (const file of sources) if (!file.endsWith(".test.ts")) members(file, own, others);
	return [...own].filter((name) => !others.has(name)).sort();
}

/** The declarations of browsers and of their extension interfaces. */
function platform(root) {
	const find = (dir, include) => ts.sys.readDirectory(join(root, "node_modules", dir), [".d.ts"], [], [include]);
	return [...find("typescript/lib", "lib.*.d.ts"), ...find("@types/chrome", "**/*")];
}

const isType = (node) => ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node);

/** Adds to own the members that a file declares, and to others those of assertions and kept interfaces, and all strings. */
function members(file, own, others) {
	const note = (node, into) => {
		const member = ts.isTypeElement(node) || ts.isClassElement(node) || (ts.isParameter(node) && node.modifiers);
		if (member && node.name && ts.isIdentifier(node.name)) into.add(node.name.text);
		if (ts.isStringLiteralLike(node)) others.add(node.text);
		if (ts.isPropertyAccessExpression(node) && node.expression.name?.text === "dataset") others.add(node.name.text);
		const known = ts.isAsExpression(node) || (isType(node) && kept.includes(node.name.text));
		ts.forEachChild(node, (child) => note(child, known ? others : into));
	};
	note(ts.createSourceFile(file, readFileSync(file, "utf8"), ts.ScriptTarget.ES2022), own);
}
