// Packages that depend on nothing but their content, and what they weigh.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { zipSync } from "fflate";

/** The files below dir by name, with "/" between folders, sorted by bytes. */
export function tree(dir) {
	return readdirSync(dir, { recursive: true, withFileTypes: true })
		.filter((entry) => entry.isFile())
		.map((entry) =>
			join(entry.parentPath, entry.name)
				.slice(dir.length + 1)
				.replaceAll("\\", "/"),
		)
		.sort((a, b) => (a < b ? -1 : 1));
}

/** A zip of dir: sorted names, all of the earliest time that the format knows, all made on Unix with mode 0644. */
export function zip(dir) {
	// The format has local times without a zone.
	const options = { level: 9, mtime: new Date(1980, 0, 1), os: 3, attrs: 0o100644 << 16 };
	return zipSync(Object.fromEntries(tree(dir).map((name) => [name, [readFileSync(join(dir, name)), options]])));
}

/** The sizes of the named files of dir together, as they are and each compressed on its way. */
export function weigh(dir, names) {
	let plain = 0;
	let gzip = 0;
	for (const name of names) {
		const content = readFileSync(join(dir, name));
		plain += content.length;
		gzip += gzipSync(content, { level: 9 }).length;
	}
	return { plain, gzip };
}
