import type { Clock } from "./ports.ts";

/** Calls what when signal is aborted. */
export const onAbort = (signal: AbortSignal, what: () => void): void => signal.addEventListener("abort", what);

/**
 * Settles as what does, unless life ends or ms pass before. Its signal is aborted then, and the promise rejects, or after ms
 * resolves to late if that is given.
 */
export function within<T>(
	clock: Clock,
	life: AbortSignal,
	ms: number,
	what: (signal: AbortSignal) => Promise<T>,
	late?: T,
): Promise<T> {
	const own = new AbortController();
	return new Promise<T>((resolve, reject) => {
		const end = () => {
			cancel();
			life.removeEventListener("abort", end);
			own.abort();
			reject(own.signal.reason);
		};
		const cancel = clock.after(ms, () => {
			if (late !== undefined) resolve(late);
			end();
		});
		onAbort(life, end);
		if (life.aborted) end();
		else what(own.signal).then(resolve, reject).finally(end);
	});
}
