/**
 * How long to wait before the next try: twice as long after each failure, up to
 * a limit, and by chance between half of that and the whole, so that many who
 * failed together don't come back together.
 */

/** Bounds in ms, and where chance comes from. */
export interface BackoffOptions {
  readonly firstMs: number;
  readonly mostMs: number;
  /** From 0 to 1, 1 excluded. */
  readonly random: () => number;
}

/** The delays of one thing that is tried again and again. */
export class Backoff {
  readonly #options: BackoffOptions;
  #failures = 0;

  constructor(options: BackoffOptions) {
    this.#options = options;
  }

  /** Failures since the last reset. */
  get failures(): number {
    return this.#failures;
  }

  /** The delay after one more failure, in ms. */
  next(): number {
    const { firstMs, mostMs } = this.#options;
    const whole = Math.min(firstMs * 2 ** Math.min(this.#failures, 30), mostMs);
    this.#failures++;
    return this.#jitter(whole);
  }

  /** The longest delay, for what waiting alone hardly cures. */
  longest(): number {
    this.#failures++;
    return this.#jitter(this.#options.mostMs);
  }

  /** The next failure counts as the first. */
  reset(): void {
    this.#failures = 0;
  }

  #jitter(whole: number): number {
    return whole / 2 + this.#options.random() * whole / 2;
  }
}
