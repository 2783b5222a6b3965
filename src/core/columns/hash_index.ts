/**
 * An index from hashes to rows of a table: open addressing, linear probing.
 *
 * The index knows no keys. A look-up visits the rows that have the hash, and
 * the caller compares its own columns:
 *
 * ```ts
 * for (let row = index.first(hash); row >= 0; row = index.next()) {
 *   if (table.port[row] === port) return row;
 * }
 * ```
 *
 * One thread changes the index. Other threads may look things up through an
 * index of their own over the same buffer: beside a change they may miss a row
 * that moves or read one that is going, so they compare and tolerate a miss.
 * Removed entries leave tombstones; when those fill up, the live entries are
 * copied to a second area, which then takes the first one's place.
 */
import { ColumnAllocator, type TableBuffer } from "./columns.ts";

const EMPTY = 0;
const TOMBSTONE = -1;
/** Indices into the state column. */
const AREA = 0;
const LIVE = 1;
const DEAD = 2;

/** Slots in an area: a power of two, at most half of them live. */
function slotsFor(capacity: number): number {
  let slots = 8;
  while (slots < capacity * 2) slots *= 2;
  return slots;
}

/** The index; rows are numbers from 0 to 2^31 - 2. */
export class HashIndex {
  readonly #capacity: number;
  readonly #slots: number;
  readonly #state: Int32Array;
  /** Per slot: the hash. */
  readonly #hashes: Int32Array;
  /** Per slot: row + 1, EMPTY or TOMBSTONE. */
  readonly #rows: Int32Array;
  #cursor = 0;
  #area = 0;
  #left = 0;
  #hash = 0;

  /** Bytes of buffer that an index of `capacity` entries needs. */
  static byteLength(capacity: number): number {
    return 16 + slotsFor(capacity) * 16;
  }

  /**
   * @param buffer at least {@linkcode HashIndex.byteLength} bytes, zeros at first
   * @param capacity entries that it can hold
   */
  constructor(buffer: TableBuffer, capacity: number) {
    const columns = new ColumnAllocator(buffer);
    this.#capacity = capacity;
    this.#slots = slotsFor(capacity);
    this.#state = columns.int32(3);
    this.#hashes = columns.int32(this.#slots * 2);
    this.#rows = columns.int32(this.#slots * 2);
  }

  /** Entries in the index. */
  get size(): number {
    return this.#state[LIVE];
  }

  /** The first row with the hash, or -1. Ends a walk that is under way. */
  first(hash: number): number {
    this.#hash = hash | 0;
    this.#area = Atomics.load(this.#state, AREA) * this.#slots;
    this.#cursor = hash & (this.#slots - 1);
    this.#left = this.#slots;
    return this.next();
  }

  /** The next row with the hash that `first` was asked for, or -1. */
  next(): number {
    const mask = this.#slots - 1;
    while (this.#left > 0) {
      const slot = this.#area + this.#cursor;
      const entry = Atomics.load(this.#rows, slot);
      if (entry === EMPTY) break;
      this.#cursor = (this.#cursor + 1) & mask;
      this.#left--;
      if (entry !== TOMBSTONE && this.#hashes[slot] === this.#hash) {
        return entry - 1;
      }
    }
    this.#left = 0;
    return -1;
  }

  /**
   * Adds an entry; the caller has seen to it that it isn't there yet.
   * @returns false where the index is full
   */
  insert(hash: number, row: number): boolean {
    const state = this.#state;
    if (state[LIVE] === this.#capacity) return false;
    if (state[LIVE] + state[DEAD] >= this.#slots - (this.#slots >>> 2)) {
      this.#rebuild();
    }
    const base = state[AREA] * this.#slots;
    const mask = this.#slots - 1;
    let slot = hash & mask;
    while (this.#rows[base + slot] > 0) slot = (slot + 1) & mask;
    if (this.#rows[base + slot] === TOMBSTONE) state[DEAD]--;
    this.#hashes[base + slot] = hash;
    Atomics.store(this.#rows, base + slot, row + 1);
    state[LIVE]++;
    return true;
  }

  /**
   * Takes an entry out.
   * @returns false where it wasn't there
   */
  remove(hash: number, row: number): boolean {
    const state = this.#state;
    const base = state[AREA] * this.#slots;
    const mask = this.#slots - 1;
    let slot = hash & mask;
    for (let left = this.#slots; left > 0; left--, slot = (slot + 1) & mask) {
      const entry = this.#rows[base + slot];
      if (entry === EMPTY) return false;
      if (entry !== row + 1 || this.#hashes[base + slot] !== (hash | 0)) {
        continue;
      }
      const last = this.#rows[base + ((slot + 1) & mask)] === EMPTY;
      Atomics.store(this.#rows, base + slot, last ? EMPTY : TOMBSTONE);
      state[LIVE]--;
      if (!last) state[DEAD]++;
      return true;
    }
    return false;
  }

  /** Takes all entries out. */
  clear(): void {
    this.#rows.fill(EMPTY);
    this.#state[LIVE] = 0;
    this.#state[DEAD] = 0;
  }

  /** Copies the live entries to the other area and turns to it. */
  #rebuild(): void {
    const mask = this.#slots - 1;
    const from = this.#state[AREA] * this.#slots;
    const to = this.#slots - from;
    this.#rows.fill(EMPTY, to, to + this.#slots);
    for (let i = from; i < from + this.#slots; i++) {
      const entry = this.#rows[i];
      if (entry <= 0) continue;
      const hash = this.#hashes[i];
      let slot = hash & mask;
      while (this.#rows[to + slot] !== EMPTY) slot = (slot + 1) & mask;
      this.#hashes[to + slot] = hash;
      this.#rows[to + slot] = entry;
    }
    this.#state[DEAD] = 0;
    Atomics.store(this.#state, AREA, from === 0 ? 1 : 0);
  }
}

/**
 * Takes one 32-bit word of a key into a hash (the round of MurmurHash3). Start
 * with a random seed, so that nobody outside can aim at one slot, and end with
 * {@linkcode finishHash}.
 */
export function mixHash(hash: number, word: number): number {
  const k = Math.imul(word, 0xcc9e2d51);
  const mixed = hash ^ Math.imul((k << 15) | (k >>> 17), 0x1b873593);
  return (Math.imul((mixed << 13) | (mixed >>> 19), 5) + 0xe6546b64) | 0;
}

/** Spreads a hash over all its bits (the end of MurmurHash3). */
export function finishHash(hash: number): number {
  let h = hash ^ (hash >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
