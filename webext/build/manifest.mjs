// The manifests of the extensions, from one source: what all share, and then what differs.

/** Where pages may connect to: brokers and relays, of any name, over TLS only. */
const release = "https: wss:";
/** Tests find their broker and relay on this machine, and test.json in the package. */
const loopback = "'self' http://127.0.0.1:* ws://127.0.0.1:* https://127.0.0.1:*";

/** The content security policy of every page. default-src does not cover base-uri and form-action. */
export function policy(test, more = "") {
	const connect = test ? `${release} ${loopback}` : release;
	const own = "script-src 'self'; style-src 'self'; img-src 'self'";
	return `default-src 'none'; base-uri 'none'; form-action 'none'; ${own}; ${more}connect-src ${connect}`;
}

/**
 * Fixes the id of Chromium's test build, which would else depend on its directory, to
 * jflckicejpcibdfnjjbkhnjedibpmphc. Nobody has the private half of this key, and nobody needs it.
 */
const testKey =
	"MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA11BfU9thcvteaOfpstPUTC0rXdTOMpGucQddpzpK/vOuOuo6XTdxgtOg3bDJXcvEZv7tk5siS4O8XXlS13L6fW8BopnbSfiRLT2KdOOmw6RJugkrMW0+pTT89awhRxg5QAYiKb5lLQ/APW9xTo+wUzkZi2WtAC3uH7UHgaXpZSG7/dX6H0rRts7Nlj+CnxIGqoxPfXbTlyIBv2Dfi6ea9lKi+tsfaj+oih7mwChoG1/3AYF8J6Ojd/n+iJHeETAnfL7lVG0yi5PbPQ89rIdMv3eMuixw9xY2F6jl9yvLbizSNLK8CADs0sqvKx+1KL1DARg/uXZirv+SkQEr0VouBwIDAQAB";

/** The icon by its size; kind is "" or a state with a hyphen (see shell/extension.ts). */
const icons = (kind) => Object.fromEntries([16, 32, 48, 128].map((size) => [size, `icons/${kind}${size}.png`]));

/** The manifest of a target: "chromium", "firefox" or "firefox-mv2". */
export function manifest(target, { version, test }) {
	const csp = policy(test);
	const action = { default_popup: "popup.html", default_icon: icons("off-"), default_title: "__MSG_appName__" };
	const all = {
		manifest_version: target === "firefox-mv2" ? 2 : 3,
		name: "__MSG_appName__",
		description: "__MSG_appDesc__",
		version,
		default_locale: "en",
		icons: icons(""),
	};
	switch (target) {
		case "chromium":
			return {
				...all,
				...(test ? { key: testKey } : {}),
				// The first with offscreen documents for WebRTC and runtime.getContexts.
				minimum_chrome_version: "116",
				background: { service_worker: "app.js", type: "module" },
				permissions: ["alarms", "offscreen", "storage"],
				optional_permissions: ["background"],
				action,
				content_security_policy: { extension_pages: csp },
			};
		case "firefox":
			return {
				...all,
				background: { scripts: ["app.js"], type: "module" },
				permissions: ["alarms", "storage"],
				action,
				content_security_policy: { extension_pages: csp },
				browser_specific_settings: gecko,
			};
		case "firefox-mv2":
			return {
				...all,
				background: { scripts: ["app.js"], type: "module", persistent: true },
				permissions: ["alarms", "storage"],
				browser_action: action,
				content_security_policy: csp,
				browser_specific_settings: gecko,
			};
	}
	throw new Error(`no such target: ${target}`);
}

/** doc/webext.md says why the add-on declares that it collects nothing. */
const gecko = {
	gecko: {
		id: "volunteer@flurry.example",
		strict_min_version: "140.0",
		data_collection_permissions: { required: ["none"] },
	},
	gecko_android: { strict_min_version: "142.0" },
};
