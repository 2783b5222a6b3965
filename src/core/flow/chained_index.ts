/**
 * Rows by hash, as columns: a head for each bucket, and each row names the next
 * one of its bucket. Whoever has the rows compares their keys.
 *
 *     for (let row = index.first(hash); row >= 0; row = index.next(row)) ...
 *
 * Concurrency: one thread writes and looks up.
 */
import type { ColumnAllocator } from "../columns/columns.ts";

const COLUMNS = 2;

/** Chains of rows by hash. */
export class ChainedIndex {
  readonly #head: Int32Array; // row + 1
  readonly #next: Int32Array; // row + 1
  readonly #mask: number;

  /** Bytes for that many rows. */
  static byteLength(capacity: number): number {
    return (bucketsFor(capacity) + capacity) * 4 + COLUMNS * 8;
  }

  constructor(columns: ColumnAllocator, capacity: number) {
    const buckets = bucketsFor(capacity);
    this.#mask = buckets - 1;
    this.#head = columns.int32(buckets);
    this.#next = columns.int32(capacity);
  }

  /** The first row of a hash's bucket, or -1. */
  first(hash: number): number {
    return this.#head[hash & this.#mask] - 1;
  }

  /** The row behind another one, or -1. */
  next(row: number): number {
    return this.#next[row] - 1;
  }

  /** Adds a row that is in no bucket. */
  add(row: number, hash: number): void {
    const bucket = hash & this.#mask;
    this.#next[row] = this.#head[bucket];
    this.#head[bucket] = row + 1;
  }

  /** Takes out a row that was added with the same hash. */
  remove(row: number, hash: number): void {
    const bucket = hash & this.#mask;
    let before = this.#head[bucket] - 1;
    if (before === row) {
      this.#head[bucket] = this.#next[row];
      return;
    }
    while (this.#next[before] !== row + 1) before = this.#next[before] - 1;
    this.#next[before] = this.#next[row];
  }
}

/** Mixes four words of an address into a hash. */
export function mixWords(hash: number, words: Int32Array, i: number): number {
  let mixed = hash;
  for (let word = 0; word < 4; word++) {
    mixed = Math.imul(mixed ^ words[i + word], 0x85ebca6b);
    mixed ^= mixed >>> 13;
  }
  return mixed;
}

function bucketsFor(capacity: number): number {
  return 1 << (32 - Math.clz32(Math.max(1, capacity * 2 - 1)));
}
