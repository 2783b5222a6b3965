/**
 * Random numbers that repeat: mulberry32, for tests that say their seed.
 */
export class SeededRandom {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** The next 32 bits, unsigned. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  }

  /** A whole number from 0 to `limit`, exclusive. */
  below(limit: number): number {
    return this.next() % limit;
  }

  /** Fills a range of bytes. */
  fill(b: Uint8Array, at: number, length: number): void {
    for (let i = 0; i < length; i++) b[at + i] = this.next();
  }
}
