// Classes as closures. Of `this.#queue` a minifier can shorten little, and nothing of what it cannot see through; a variable becomes
// one letter, a function that is called once is put in its place. So this esbuild plugin rewrites each class
//
//	class Bucket { #level = 0; constructor(private readonly clock) {} take(n) { this.#level -= n; this.#look(); } #look() {} }
//
// as
//
//	const Bucket = (clock) => { const take = (n) => { $level -= n; $look(); }, … self = { take }; let $level = 0; return self; };
//
// and `new Bucket(c)` as `Bucket(c)`. Classes that extend others, or have static members or setters, stay what they are. The functions
// of a module become arrow functions, too: none of them has a this. The unit tests run what comes out of it.
import { readFileSync } from "node:fs";
import ts from "typescript";

const { factory: f, SyntaxKind } = ts;

/** The plugin for the TypeScript in root; of tests only what they call is rewritten. */
export function closures(root) {
	const files = ts.sys.readDirectory(root, [".ts"], ["node_modules", "dist"]).filter((file) => !file.endsWith(".test.ts"));
	const classes = new Set(files.flatMap((file) => declared(parse(file)).map(({ name }) => name.text)));
	const compilerOptions = { target: "ES2022", module: "ESNext", verbatimModuleSyntax: true, inlineSourceMap: true };
	return {
		name: "closures",
		setup({ onLoad }) {
			onLoad({ filter: /\.ts$/ }, ({ path }) => {
				const transformers = { before: [(context) => (file) => rewrite(file, classes, context)] };
				const options = { compilerOptions, transformers, fileName: path };
				return { contents: ts.transpileModule(readFileSync(path, "utf8"), options).outputText, loader: "js" };
			});
		},
	};
}

const parse = (file) => ts.createSourceFile(file, readFileSync(file, "utf8"), ts.ScriptTarget.ES2022);

const has = (node, kind) => node.modifiers?.some((modifier) => modifier.kind === kind) ?? false;

/** The classes of a file that can be rewritten. */
const declared = (file) =>
	file.statements.filter(
		(node) =>
			ts.isClassDeclaration(node) &&
			!node.heritageClauses?.some(({ token }) => token === SyntaxKind.ExtendsKeyword) &&
			!node.members.some((member) => ts.isSetAccessor(member) || has(member, SyntaxKind.StaticKeyword)),
	);

/** Rewrites a file; classes are the names of all that are rewritten, here and elsewhere. */
function rewrite(file, classes, context) {
	const isTest = file.fileName.endsWith(".test.ts");
	const here = isTest ? [] : declared(file);
	const known = new Set(here.map(({ name }) => name.text));
	for (const { importClause } of file.statements.filter(ts.isImportDeclaration))
		for (const { name } of importClause?.namedBindings?.elements ?? []) known.add(name.text);
	const visit = (node) => {
		const isFunction = !isTest && node.parent === file && ts.isFunctionDeclaration(node);
		const rewritten = here.includes(node) ? closure(node, context) : isFunction ? arrow(node, node.parameters, node.body) : node;
		const inside = ts.visitEachChild(rewritten, visit, context);
		const made = ts.isNewExpression(inside) && ts.isIdentifier(inside.expression) && inside.expression.text;
		return made && known.has(made) && classes.has(made)
			? f.createCallExpression(inside.expression, undefined, inside.arguments)
			: inside;
	};
	return ts.visitNode(file, visit);
}

const self = f.createIdentifier("self$");

/** The name of the variable or function for a member. No name in the sources has a "$". */
const local = (name) => f.createIdentifier(name.startsWith("#") ? `$${name.slice(1)}` : `${name}$`);

/** The function that does what a class does. */
function closure(node, context) {
	const construct = node.members.find(ts.isConstructorDeclaration);
	const parameters = construct?.parameters ?? [];
	const members = [...parameters.filter((p) => ts.isParameterPropertyDeclaration(p, construct)), ...node.members];
	const isPrivate = (member) => ts.isPrivateIdentifier(member.name) || has(member, SyntaxKind.PrivateKeyword);
	const isLocal = (member) => member !== construct && (isPrivate(member) || ts.isMethodDeclaration(member));
	const locals = new Set(members.filter(isLocal).map(({ name }) => name.text));
	const access = (name) => (locals.has(name) ? local(name) : f.createPropertyAccessExpression(self, name));
	const isThis = (n) => n?.kind === SyntaxKind.ThisKeyword;

	/** Has code speak of variables and of self in place of this. */
	const inside = (n) => {
		if (ts.isFunctionExpression(n) || ts.isMethodDeclaration(n) || ts.isClassExpression(n)) {
			if (/\bthis\b/.test(n.getText())) throw new Error(`another this in ${node.name.text}`);
		}
		if (ts.isPropertyAccessExpression(n)) {
			if (isThis(n.expression)) return access(n.name.text);
			if (ts.isPrivateIdentifier(n.name)) throw new Error(`${n.name.text} of another object in ${node.name.text}`);
		}
		if (ts.isVariableDeclaration(n) && isThis(n.initializer) && ts.isObjectBindingPattern(n.name))
			return n.name.elements.map(({ propertyName, name }) =>
				f.createVariableDeclaration(name, undefined, undefined, access((propertyName ?? name).text)),
			);
		return isThis(n) ? self : ts.visitEachChild(n, inside, context);
	};

	const { kept, statements } = keeping(node, construct);
	const shown = [];
	const fields = [];
	const functions = [];
	for (const member of members) {
		const isOverload = ts.isMethodDeclaration(member) && !member.body;
		if (member === construct || kept.has(member.name.text) || isOverload) continue;
		const name = member.name.text;
		if (ts.isMethodDeclaration(member)) {
			const { modifiers, parameters, body } = member;
			functions.push(arrow({ name: local(name), modifiers }, parameters.map(inside), inside(body)));
			if (!isPrivate(member)) shown.push(f.createPropertyAssignment(name, local(name)));
		} else if (ts.isGetAccessor(member)) {
			shown.push(f.createGetAccessorDeclaration(undefined, name, [], undefined, inside(member.body)));
		} else {
			const value = ts.isParameter(member) ? f.createIdentifier(name) : member.initializer && inside(member.initializer);
			if (isPrivate(member)) fields.push(variable(local(name), value, ts.NodeFlags.Let));
			else if (value && isConstant(value)) shown.push(f.createPropertyAssignment(name, value));
			else if (value) fields.push(f.createExpressionStatement(f.createAssignment(access(name), value)));
		}
	}
	const names = new Map([...kept].map(([member, parameter]) => [parameter, local(member)]));
	const body = f.createBlock([
		...functions,
		variable(self, f.createObjectLiteralExpression(shown), ts.NodeFlags.Const),
		...fields,
		...statements.map((statement) => rename(inside(statement), names, context)),
		f.createReturnStatement(self),
	]);
	const args = parameters.map(({ name, initializer }) =>
		f.createParameterDeclaration(undefined, undefined, names.get(name.text) ?? name, undefined, undefined, initializer),
	);
	return arrow(node, args, body);
}

/** Whether an expression depends on nothing but parameters. */
const isConstant = ({ kind }) =>
	[
		SyntaxKind.Identifier,
		SyntaxKind.NumericLiteral,
		SyntaxKind.StringLiteral,
		SyntaxKind.NullKeyword,
		SyntaxKind.FalseKeyword,
		SyntaxKind.TrueKeyword,
	].includes(kind);

/**
 * The private members that only keep a parameter of the constructor, so that the parameter can stand for them, with its name; and the
 * other statements of the constructor.
 */
function keeping(node, construct) {
	const kept = new Map();
	for (const p of construct?.parameters ?? []) if (has(p, SyntaxKind.PrivateKeyword)) kept.set(p.name.text, p.name.text);
	const fixed = node.members.filter((m) => ts.isPropertyDeclaration(m) && ts.isPrivateIdentifier(m.name) && !m.initializer);
	const statements = (construct?.body.statements ?? []).filter((statement) => {
		const { left, right } = (ts.isExpressionStatement(statement) && statement.expression) || {};
		const field = fixed.find(({ name }) => name.text === left?.name?.text && left.expression.kind === SyntaxKind.ThisKeyword);
		const parameter = construct.parameters.find(({ name }) => name.text === right?.text);
		if (!field || !has(field, SyntaxKind.ReadonlyKeyword) || !parameter) return true;
		kept.set(field.name.text, parameter.name.text);
		return false;
	});
	return { kept, statements };
}

/** Gives variables other names. */
function rename(node, names, context) {
	const visit = (n) => {
		if (ts.isIdentifier(n)) return names.get(n.text) ?? n;
		if (ts.isPropertyAccessExpression(n)) return f.updatePropertyAccessExpression(n, visit(n.expression), n.name);
		if (ts.isPropertyAssignment(n)) return f.updatePropertyAssignment(n, n.name, visit(n.initializer));
		if (ts.isShorthandPropertyAssignment(n)) return f.createPropertyAssignment(n.name, visit(n.name));
		return ts.visitEachChild(n, visit, context);
	};
	return visit(node);
}

/** A constant with the name and the modifiers of a class or function, which is an arrow function. */
function arrow({ name, modifiers }, parameters, body) {
	const async = modifiers?.filter(({ kind }) => kind === SyntaxKind.AsyncKeyword);
	const exported = modifiers?.filter(({ kind }) => kind === SyntaxKind.ExportKeyword);
	const value = f.createArrowFunction(async, undefined, parameters, undefined, undefined, body);
	return variable(name, value, ts.NodeFlags.Const, exported);
}

const variable = (name, value, flags, modifiers) =>
	f.createVariableStatement(
		modifiers,
		f.createVariableDeclarationList([f.createVariableDeclaration(name, undefined, undefined, value)], flags),
	);
