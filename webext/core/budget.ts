/** A token bucket in bytes, shared by everything that is sent. It holds a second's worth: timers of hidden pages come once a second. */
export class RateLimit {
	#rate = 0;
	#level = 0;
	#at = 0;

	/** Bytes a second; 0: no limit. */
	set(rate: number, now: number): void {
		if (rate === this.#rate) return;
		this.#rate = this.#level = rate;
		this.#at = now;
	}

	/** ms until something may be sent, 0: now. */
	wait(now: number): number {
		if (!this.#rate) return 0;
		const since = Math.max(now - this.#at, 0); // a clock that is set back gives nothing and takes nothing
		this.#level = Math.min(this.#level + (since * this.#rate) / 1000, this.#rate);
		this.#at = now;
		return this.#level > 0 ? 0 : Math.ceil(((1 - this.#level) * 1000) / this.#rate);
	}

	/** Takes what has been sent. One message may take more than there is; the next then waits for longer. */
	take(bytes: number): void {
		this.#level -= bytes;
	}
}

/** Counts the bytes of a calendar month in local time. */
export class MonthBudget {
	#used = 0;
	#month = 0;

	/** Says what has been used this month. */
	set(used: number, now: number): void {
		this.#used = used;
		this.#month = month(now);
	}

	add(bytes: number, now: number): void {
		if (month(now) !== this.#month) this.set(0, now);
		this.#used += bytes;
	}

	/** Whether nothing is left of limit; 0: there is none. */
	spent(limit: number, now: number): boolean {
		this.add(0, now);
		return limit > 0 && this.#used >= limit;
	}
}

function month(now: number): number {
	const d = new Date(now);
	return d.getFullYear() * 12 + d.getMonth();
}
