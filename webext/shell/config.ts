import type { Config } from "../core/config.ts";

/** Put in by build.mjs: the network of a release, null in a test build. */
declare const BUILD_CONFIG: Config | null;

/** What this build is for. A test build reads it from its own package, and rejects if that cannot be had. */
export async function readConfig(): Promise<Config> {
	return BUILD_CONFIG ?? ((await (await fetch("test.json")).json()) as Config);
}

/** Whether this is a build for tests on one machine. */
export function isTestBuild(): boolean {
	return BUILD_CONFIG === null;
}
