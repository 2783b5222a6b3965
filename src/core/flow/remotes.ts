/**
 * Remotes that a mapping has sent to, for address-dependent and address-and-
 * port-dependent filtering (RFC 4787 section 5, REQ-8).
 *
 * A hash of sets of 8 entries. A full set gives up an entry: one of the same
 * peer where that peer has two there, else the oldest, so that a peer which
 * scans the world pushes out its own remotes first.
 *
 * Concurrency: the open worker writes, the seal worker reads. Each entry has a
 * version, odd while it is being written (a seqlock); a reader that sees it odd
 * or changed reads again. Entries name the generation of their NAT row, so what
 * an earlier mapping in the same row sent to counts for nothing.
 */
import { ColumnAllocator, type TableBuffer } from "../columns/columns.ts";

const WAYS = 8;
const MAX_READS = 16;
const BYTES_PER_ENTRY = 9 * 4 + 8;
const COLUMNS = 7;

/** Row and generation that an entry belongs to, and the peer that pays for it. */
export interface RemotesOptions {
  /** Entries in all, a power of two, at least 8. */
  readonly entries: number;
}

/** Who sent to whom, and when. */
export class ContactedRemotes {
  readonly #setMask: number;
  readonly #version: Int32Array;
  readonly #row: Int32Array;
  readonly #generation: Int32Array;
  readonly #peer: Int32Array;
  readonly #words: Int32Array;
  readonly #port: Int32Array;
  readonly #time: Float64Array;

  /** Bytes that the table needs. */
  static byteLength(options: RemotesOptions): number {
    return options.entries * BYTES_PER_ENTRY + COLUMNS * 8;
  }

  constructor(buffer: TableBuffer, options: RemotesOptions) {
    const { entries } = options;
    if (entries < WAYS || (entries & (entries - 1)) !== 0) {
      throw new RangeError(
        `entries must be a power of two from ${WAYS}, not ${entries}`,
      );
    }
    const columns = new ColumnAllocator(buffer);
    this.#setMask = entries / WAYS - 1;
    this.#version = columns.int32(entries);
    this.#row = columns.int32(entries);
    this.#generation = columns.int32(entries);
    this.#peer = columns.int32(entries);
    this.#words = columns.int32(entries * 4);
    this.#port = columns.int32(entries);
    this.#time = columns.float64(entries);
  }

  /**
   * Notes that a mapping has sent to a remote. Open worker.
   * @param generation of the NAT row, never 0.
   * @param words address words, from index `i`; `port` 0 where ports don't count.
   */
  note(
    row: number,
    generation: number,
    peer: number,
    words: Int32Array,
    i: number,
    port: number,
    now: number,
  ): void {
    const start = this.#setOf(row, words, i, port);
    for (let entry = start; entry < start + WAYS; entry++) {
      if (this.#matches(entry, row, generation, words, i, port)) {
        this.#time[entry] = now;
        return;
      }
    }
    const entry = this.#victim(start, peer);
    const version = this.#version[entry];
    Atomics.store(this.#version, entry, version + 1);
    this.#row[entry] = row;
    this.#generation[entry] = generation;
    this.#peer[entry] = peer;
    for (let word = 0; word < 4; word++) {
      this.#words[entry * 4 + word] = words[i + word];
    }
    this.#port[entry] = port;
    this.#time[entry] = now;
    Atomics.store(this.#version, entry, version + 2);
  }

  /** Whether the mapping has sent to the remote at `since` or later. Any worker. */
  contacted(
    row: number,
    generation: number,
    words: Int32Array,
    i: number,
    port: number,
    since: number,
  ): boolean {
    const start = this.#setOf(row, words, i, port);
    for (let entry = start; entry < start + WAYS; entry++) {
      for (let reads = 0; reads < MAX_READS; reads++) {
        const version = Atomics.load(this.#version, entry);
        const found = this.#matches(entry, row, generation, words, i, port) &&
          this.#time[entry] >= since;
        if (
          (version & 1) === 0 && Atomics.load(this.#version, entry) === version
        ) {
          if (found) return true;
          break;
        }
      }
    }
    return false;
  }

  #matches(
    entry: number,
    row: number,
    generation: number,
    words: Int32Array,
    i: number,
    port: number,
  ): boolean {
    const at = entry * 4;
    return this.#row[entry] === row && this.#generation[entry] === generation &&
      this.#port[entry] === port && this.#words[at + 3] === words[i + 3] &&
      this.#words[at + 2] === words[i + 2] &&
      this.#words[at + 1] === words[i + 1] &&
      this.#words[at] === words[i];
  }

  #victim(start: number, peer: number): number {
    let oldest = start;
    let ownOldest = -1;
    let own = 0;
    for (let entry = start; entry < start + WAYS; entry++) {
      if (this.#generation[entry] === 0) return entry;
      if (this.#time[entry] < this.#time[oldest]) oldest = entry;
      if (this.#peer[entry] !== peer) continue;
      own++;
      if (ownOldest < 0 || this.#time[entry] < this.#time[ownOldest]) {
        ownOldest = entry;
      }
    }
    return own >= 2 ? ownOldest : oldest;
  }

  #setOf(row: number, words: Int32Array, i: number, port: number): number {
    let hash = Math.imul(row + 1, 0x9e3779b1) ^ port;
    for (let word = 0; word < 4; word++) {
      hash = Math.imul(hash ^ words[i + word], 0x85ebca6b);
      hash ^= hash >>> 15;
    }
    return (hash & this.#setMask) * WAYS;
  }
}
