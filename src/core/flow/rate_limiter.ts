/**
 * Token buckets for answers that we make ourselves (RFC 1812 section 4.3.2.8,
 * RFC 4443 section 2.4 f). Several lanes, so that one peer's noise does not use
 * up what the others need.
 */

/** How much a lane lets through. */
export interface RateLimiterOptions {
  /** Buckets; keys share them by remainder. */
  readonly lanes: number;
  readonly perSecond: number;
  /** Tokens that a bucket holds at most. */
  readonly burst: number;
}

/** Buckets that fill with time. */
export class RateLimiter {
  readonly #lanes: number;
  readonly #perMs: number;
  readonly #burst: number;
  readonly #tokens: Float64Array;
  readonly #filledAt: Float64Array;

  constructor(options: RateLimiterOptions) {
    this.#lanes = options.lanes;
    this.#perMs = options.perSecond / 1000;
    this.#burst = options.burst;
    this.#tokens = new Float64Array(options.lanes).fill(options.burst);
    this.#filledAt = new Float64Array(options.lanes);
  }

  /** Takes a token for a key >= 0. @returns false where none is left. */
  take(key: number, now: number): boolean {
    const lane = key % this.#lanes;
    const elapsed = Math.max(0, now - this.#filledAt[lane]);
    const tokens = Math.min(
      this.#burst,
      this.#tokens[lane] + elapsed * this.#perMs,
    );
    this.#filledAt[lane] = now;
    this.#tokens[lane] = tokens < 1 ? tokens : tokens - 1;
    return tokens >= 1;
  }
}
