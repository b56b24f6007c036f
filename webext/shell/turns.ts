/** Returns a function that does one thing after another, in order, whatever becomes of each, and settles as what it is given does. */
export function turns(): (act: () => Promise<void>) => Promise<void> {
	let last: Promise<void> = Promise.resolve();
	return (act) => {
		last = last.then(act, act);
		return last;
	};
}
