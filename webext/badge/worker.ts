import type { Clock, Ports } from "../core/ports.ts";

/** What the page asks of its Worker. id is new for each, except that cancel has the one of what it ends. */
export type Order =
	| { id: number; do: "after"; ms: number }
	| { id: number; do: "post"; url: string; body: string }
	| { id: number; do: "cancel" };

/** What the Worker says: a timer has run out, a request has its response, or has failed. */
export type Answer = { id: number; text?: string; error?: string };

/** Something that takes orders: a Worker, or what stands for it in a test. */
export interface Servant {
	postMessage(order: Order): void;
	onmessage: ((event: MessageEvent<Answer>) => unknown) | null;
}

/** The ports, with timers and requests in worker. */
export function inWorker(ports: Ports, worker: Servant): Ports {
	let last = 0;
	const waiting = new Map<number, (answer: Answer) => void>();
	worker.onmessage = ({ data: answer }) => {
		const done = waiting.get(answer.id);
		waiting.delete(answer.id);
		done?.(answer);
	};
	const cancel = (id: number) => {
		if (waiting.delete(id)) worker.postMessage({ id, do: "cancel" });
	};
	const after: Clock["after"] = (ms, what) => {
		const id = ++last;
		waiting.set(id, what);
		worker.postMessage({ id, do: "after", ms });
		return () => cancel(id);
	};
	const post: Ports["post"] = (url, body, signal) =>
		new Promise((resolve, reject) => {
			signal.throwIfAborted();
			const id = ++last;
			const give = () => {
				cancel(id);
				reject(signal.reason);
			};
			signal.addEventListener("abort", give);
			waiting.set(id, ({ text, error }) => {
				signal.removeEventListener("abort", give);
				text === undefined ? reject(new Error(error ?? "no response")) : resolve(text);
			});
			worker.postMessage({ id, do: "post", url, body });
		});
	return { ...ports, clock: { ...ports.clock, after }, post };
}

/**
 * Starts the Worker at url, and resolves to it once it has answered; to null where there can be none, as in a sandboxed frame, whose
 * origin no script is of. Some browsers say so by throwing, some by an error event.
 */
export function startWorker(url: string): Promise<Worker | null> {
	return new Promise((resolve) => {
		try {
			const worker = new Worker(url);
			worker.onmessage = () => resolve(worker);
			worker.onerror = () => resolve(null);
			worker.postMessage({ id: 0, do: "after", ms: 0 } satisfies Order);
		} catch {
			resolve(null);
		}
	});
}
