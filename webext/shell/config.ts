import type { Config } from "../core/config.ts";

/** Put in by the build (build/scripts.mjs): the network of a release, null in a test build. */
declare const BUILD_CONFIG: Config | null;

/** Whether this is a build for tests on one machine; put in, too, so that a release does not have what only tests need. */
declare const BUILD_TEST: boolean;

/** What this build is for. A test build reads it from its own package, and rejects if that cannot be had. */
export async function readConfig(): Promise<Config> {
	return BUILD_TEST ? (await fetch("test.json")).json() : (BUILD_CONFIG as Config);
}

/** Whether this is a build for tests on one machine. */
export function isTestBuild(): boolean {
	return BUILD_TEST;
}
