/**
 * How many handshakes a second one source address may start while the device
 * is under load (WireGuard paper, section 5.3): token buckets in a table of
 * fixed size.
 *
 * IPv4 counts by address, IPv6 by /64, since one sender has all of that. The
 * table is a hash of sets of 8; in a full set the bucket that has been full
 * longest gives way, and where none is full the sender is refused: a flood
 * from many addresses costs memory nothing and others little.
 */
import { type AddressWords, isMappedIpv4 } from "../wire/address.ts";

/** How much one source may do. */
export interface RateLimits {
  /** Tokens that come back a second. */
  readonly perSecond: number;
  /** Tokens that a bucket holds. */
  readonly burst: number;
  /** Buckets; a power of two, at least 8. */
  readonly buckets: number;
}

/** 20 a second with a burst of 5, for some thousands of sources at once. */
export const HANDSHAKE_LIMITS: RateLimits = {
  perSecond: 20,
  burst: 5,
  buckets: 8192,
};

const WAYS = 8;

/** The buckets of all sources. */
export class RateLimiter {
  readonly #limits: RateLimits;
  readonly #seed: number;
  readonly #high: Int32Array;
  readonly #low: Int32Array;
  /** When the bucket will be full again, ms; 0: never used. */
  readonly #fullAt: Float64Array;

  /** @param seed random: keeps a sender from choosing whose set it shares. */
  constructor(limits: RateLimits, seed: number) {
    this.#limits = limits;
    this.#seed = seed | 0;
    this.#high = new Int32Array(limits.buckets);
    this.#low = new Int32Array(limits.buckets);
    this.#fullAt = new Float64Array(limits.buckets);
  }

  /** Takes a token of the address in 4 words. @returns false where there is none. */
  allow(words: AddressWords, now: number): boolean {
    const mapped = isMappedIpv4(words, 0);
    const high = (mapped ? words[2] : words[0]) | 0;
    const low = (mapped ? words[3] : words[1]) | 0;
    const tokenMs = 1000 / this.#limits.perSecond;
    const bucket = this.#find(high, low, now);
    if (bucket < 0) return false;
    // A bucket's state is the time at which it is full: each token taken puts
    // that time one token further off, `burst` tokens at most.
    const fullAt = Math.max(this.#fullAt[bucket], now) + tokenMs;
    if (fullAt > now + tokenMs * this.#limits.burst) return false;
    this.#fullAt[bucket] = fullAt;
    return true;
  }

  #find(high: number, low: number, now: number): number {
    let hash = Math.imul(high ^ this.#seed, 0x9e3779b1) ^
      Math.imul(low, 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 15), 0xc2b2ae35);
    hash ^= hash >>> 13;
    const first = (hash & (this.#limits.buckets - 1)) & ~(WAYS - 1);
    let oldest = first;
    for (let bucket = first; bucket < first + WAYS; bucket++) {
      const used = this.#fullAt[bucket] > 0;
      if (used && this.#high[bucket] === high && this.#low[bucket] === low) {
        return bucket;
      }
      if (this.#fullAt[bucket] < this.#fullAt[oldest]) oldest = bucket;
    }
    if (this.#fullAt[oldest] > now) return -1;
    this.#high[oldest] = high;
    this.#low[oldest] = low;
    this.#fullAt[oldest] = now;
    return oldest;
  }
}
