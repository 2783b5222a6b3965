/**
 * Rows by the endpoint (address and port) that each stands for: hash chains in
 * columns, so that finding, adding and removing allocates nothing. The hash has
 * a seed, so that nobody who chooses ports can make one long chain.
 */
import { equalWords } from "../../core/wire/address.ts";

const NONE = -1;

/** At most one row for each endpoint. */
export class EndpointIndex {
  /** Address words of each row, four a row. */
  readonly words: Int32Array;
  /** Port of each row. */
  readonly port: Int32Array;
  readonly #heads: Int32Array;
  /** Per row: the next one of its chain, or of the free rows. */
  readonly #next: Int32Array;
  readonly #seed: number;
  #free = 0;
  #size = 0;

  /** @param seed unpredictable, 32 bits */
  constructor(capacity: number, seed: number) {
    this.words = new Int32Array(capacity * 4);
    this.port = new Int32Array(capacity);
    const heads = 1 << (32 - Math.clz32(Math.max(1, capacity * 2 - 1)));
    this.#heads = new Int32Array(heads).fill(NONE);
    this.#next = new Int32Array(capacity);
    for (let row = 0; row < capacity; row++) this.#next[row] = row + 1;
    this.#next[capacity - 1] = NONE;
    this.#seed = seed | 0;
  }

  /** Rows in use. */
  get size(): number {
    return this.#size;
  }

  /** The row of an endpoint, or -1. */
  find(words: Int32Array, i: number, port: number): number {
    let row = this.#heads[this.#bucket(words, i, port)];
    while (row !== NONE) {
      if (
        this.port[row] === port && equalWords(this.words, row * 4, words, i)
      ) return row;
      row = this.#next[row];
    }
    return NONE;
  }

  /** Takes a row for an endpoint that has none; -1 where all are in use. */
  add(words: Int32Array, i: number, port: number): number {
    const row = this.#free;
    if (row === NONE) return NONE;
    this.#free = this.#next[row];
    for (let word = 0; word < 4; word++) {
      this.words[row * 4 + word] = words[i + word];
    }
    this.port[row] = port;
    const bucket = this.#bucket(words, i, port);
    this.#next[row] = this.#heads[bucket];
    this.#heads[bucket] = row;
    this.#size++;
    return row;
  }

  /** Gives a row in use back. */
  remove(row: number): void {
    const bucket = this.#bucket(this.words, row * 4, this.port[row]);
    if (this.#heads[bucket] === row) this.#heads[bucket] = this.#next[row];
    else {
      let before = this.#heads[bucket];
      while (this.#next[before] !== row) before = this.#next[before];
      this.#next[before] = this.#next[row];
    }
    this.#next[row] = this.#free;
    this.#free = row;
    this.#size--;
  }

  #bucket(words: Int32Array, i: number, port: number): number {
    let hash = Math.imul(port ^ this.#seed, 0x9e3779b1);
    for (let word = 0; word < 4; word++) {
      hash = Math.imul(hash ^ words[i + word], 0x85ebca6b);
      hash ^= hash >>> 13;
    }
    return (hash ^ (hash >>> 16)) & (this.#heads.length - 1);
  }
}
