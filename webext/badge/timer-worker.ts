// The Worker of the badge: it has the timers and makes the requests. The timers of a page that nobody sees may stand still for most
// of a minute, a Worker's do not.
import { post } from "../ports/http.ts";
import type { Answer, Order } from "./worker.ts";

const timers = new Map<number, ReturnType<typeof setTimeout>>();
const requests = new Map<number, AbortController>();

const answer = (message: Answer) => postMessage(message);

addEventListener("message", ({ data: order }: MessageEvent<Order>) => {
	const { id } = order;
	switch (order.do) {
		case "after":
			timers.set(
				id,
				setTimeout(() => {
					timers.delete(id);
					answer({ id });
				}, order.ms),
			);
			break;
		case "post": {
			const life = new AbortController();
			requests.set(id, life);
			post(order.url, order.body, life.signal)
				.then(
					(text) => answer({ id, text }),
					(error) => answer({ id, error: String(error) }),
				)
				.finally(() => requests.delete(id));
			break;
		}
		case "cancel":
			clearTimeout(timers.get(id));
			timers.delete(id);
			requests.get(id)?.abort();
			break;
	}
});
