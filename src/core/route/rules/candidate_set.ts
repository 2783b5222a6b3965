/** A set of rule numbers that is walked in their order: one bit each. */

/** Numbers from 0 to `size` - 1. */
export class CandidateSet {
  readonly #words: Int32Array;
  readonly #size: number;

  constructor(size: number) {
    this.#size = size;
    this.#words = new Int32Array((size + 31) >>> 5);
  }

  add(index: number): void {
    this.#words[index >>> 5] |= 1 << (index & 31);
  }

  clear(): void {
    this.#words.fill(0);
  }

  /** The least number of the set that is not less than `from`; -1 where there is none. */
  next(from: number): number {
    if (from >= this.#size) return -1;
    let word = from >>> 5;
    let bits = this.#words[word] & (-1 << (from & 31));
    while (bits === 0) {
      if (++word === this.#words.length) return -1;
      bits = this.#words[word];
    }
    return (word << 5) + 31 - Math.clz32(bits & -bits);
  }
}
