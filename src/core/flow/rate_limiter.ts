/**
 * Token buckets for answers that we make ourselves (RFC 1812 section 4.3.2.8,
 * RFC 4443 section 2.4 f). Several lanes, so that one peer's noise does not use
 * up what the others need.
 *
 * Concurrency: one thread at a time.
 */
import { ColumnAllocator } from "../columns/columns.ts";

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
  /** Tokens that are missing from full buckets. */
  readonly #spent: Float64Array;
  readonly #filledAt: Float64Array;

  /** Bytes of its columns. */
  static byteLength(lanes: number): number {
    return lanes * 16;
  }

  /** @param columns zeroed, or those of another thread's limiter. */
  constructor(
    options: RateLimiterOptions,
    columns = new ColumnAllocator(
      new ArrayBuffer(RateLimiter.byteLength(options.lanes)),
    ),
  ) {
    this.#lanes = options.lanes;
    this.#perMs = options.perSecond / 1000;
    this.#burst = options.burst;
    this.#spent = columns.float64(options.lanes);
    this.#filledAt = columns.float64(options.lanes);
  }

  /** Takes a token for a key >= 0. @returns false where none is left. */
  take(key: number, now: number): boolean {
    const lane = key % this.#lanes;
    const elapsed = Math.max(0, now - this.#filledAt[lane]);
    const spent = Math.max(0, this.#spent[lane] - elapsed * this.#perMs);
    const left = spent + 1 <= this.#burst;
    this.#filledAt[lane] = now;
    this.#spent[lane] = left ? spent + 1 : spent;
    return left;
  }
}
