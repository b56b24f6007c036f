import assert from "node:assert/strict";
import { test } from "node:test";
import type { Conditions } from "../core/ports.ts";
import { conditions } from "./conditions.ts";

const settle = () => new Promise((resolve) => setImmediate(resolve));

/** Watches a browser whose navigator is this; all that was told. */
function watching(navigator: object) {
	const page = new EventTarget();
	Object.defineProperty(globalThis, "navigator", { value: navigator, configurable: true });
	Object.defineProperty(globalThis, "addEventListener", { value: page.addEventListener.bind(page), configurable: true });
	const told: (Conditions & { network: boolean })[] = [];
	const stop = conditions((now, network) => told.push({ ...now, network }));
	return { told, stop, page };
}

test("a browser that tells nothing is online, and nothing else is known", () => {
	const { told, stop } = watching({ onLine: true });
	assert.deepEqual(told, [{ charging: null, metered: null, online: true, network: false }]);
	stop();
});

test("what the browser tells is passed on, until nobody listens", async () => {
	const battery = Object.assign(new EventTarget(), { charging: false });
	const connection: EventTarget & { type?: string; saveData?: boolean } = new EventTarget();
	const navigator = { onLine: true, connection, getBattery: () => Promise.resolve(battery) };
	const { told, stop, page } = watching(navigator);
	const last = () => told.at(-1);
	assert.deepEqual(last(), { charging: null, metered: false, online: true, network: false });
	await settle();
	assert.equal(last()?.charging, false);
	battery.charging = true;
	battery.dispatchEvent(new Event("chargingchange"));
	assert.equal(last()?.charging, true);

	connection.dispatchEvent(new Event("change"));
	assert.deepEqual([last()?.metered, last()?.network], [false, false], "an estimate changed");
	connection.saveData = true;
	connection.dispatchEvent(new Event("change"));
	assert.deepEqual([last()?.metered, last()?.network], [true, false]);
	connection.saveData = false;
	connection.type = "cellular";
	connection.dispatchEvent(new Event("change"));
	assert.deepEqual([last()?.metered, last()?.network], [true, true]);

	navigator.onLine = false;
	page.dispatchEvent(new Event("offline"));
	assert.deepEqual([last()?.online, last()?.network], [false, false]);
	navigator.onLine = true;
	page.dispatchEvent(new Event("online"));
	assert.deepEqual([last()?.online, last()?.network], [true, true]);

	stop();
	const { length } = told;
	for (const [target, name] of [
		[battery, "chargingchange"],
		[connection, "change"],
		[page, "online"],
	] as const)
		target.dispatchEvent(new Event(name));
	assert.equal(told.length, length);
});

test("a battery that cannot be asked is as none", async () => {
	const { told } = watching({ onLine: true, getBattery: () => Promise.reject(new Error("NotAllowedError")) });
	await settle();
	assert.deepEqual(
		told.map((t) => t.charging),
		[null],
	);
});
