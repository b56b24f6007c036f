/** The browser's extension interface with promises: Firefox's `chrome` has none in a Manifest V2 build. */
export const api: typeof chrome = (globalThis as { browser?: typeof chrome }).browser ?? globalThis.chrome;
