/**
 * Which row has a pair of ends and a peer: the pairs of a redirect table as
 * columns, and a hash with chains over them.
 *
 * Concurrency: the open worker writes and looks up; other threads read columns
 * as the table that has them says.
 */
import type { ColumnAllocator } from "../columns/columns.ts";

const INT_COLUMNS = 12;
const COLUMNS = 7;

/** Pairs by row, and rows by pair. */
export class PairIndex {
  /** The client's address words, 4 a row. */
  readonly client: Int32Array;
  readonly clientPort: Int32Array;
  /** The address words of the true destination, 4 a row. */
  readonly remote: Int32Array;
  readonly remotePort: Int32Array;
  /** The peer behind which the client is. */
  readonly peer: Int32Array;
  readonly #bucket: Int32Array; // row + 1
  readonly #chain: Int32Array; // row + 1
  readonly #mask: number;
  readonly #seed: number;

  /** Bytes for that many rows. */
  static byteLength(capacity: number): number {
    return (capacity * INT_COLUMNS + bucketsFor(capacity)) * 4 + COLUMNS * 8;
  }

  /** @param seed mixed into the hash, so that no client can choose pairs that fall together. */
  constructor(columns: ColumnAllocator, capacity: number, seed: number) {
    const buckets = bucketsFor(capacity);
    this.#mask = buckets - 1;
    this.#seed = seed;
    this.client = columns.int32(capacity * 4);
    this.clientPort = columns.int32(capacity);
    this.remote = columns.int32(capacity * 4);
    this.remotePort = columns.int32(capacity);
    this.peer = columns.int32(capacity);
    this.#bucket = columns.int32(buckets);
    this.#chain = columns.int32(capacity);
  }

  /** The row of a pair and its peer. Open worker. @returns the row, or -1. */
  lookup(
    client: Int32Array,
    clientPort: number,
    remote: Int32Array,
    remotePort: number,
    peer: number,
  ): number {
    const bucket = this.#bucketOf(
      client,
      0,
      clientPort,
      remote,
      0,
      remotePort,
    );
    let row = this.#bucket[bucket] - 1;
    while (row >= 0) {
      const at = row * 4;
      if (
        this.clientPort[row] === clientPort &&
        this.remotePort[row] === remotePort && this.peer[row] === peer &&
        same(this.remote, at, remote) && same(this.client, at, client)
      ) return row;
      row = this.#chain[row] - 1;
    }
    return -1;
  }

  /** Gives a row its pair, by which it is found from now on. */
  link(
    row: number,
    client: Int32Array,
    clientPort: number,
    remote: Int32Array,
    remotePort: number,
    peer: number,
  ): void {
    for (let word = 0; word < 4; word++) {
      this.client[row * 4 + word] = client[word];
      this.remote[row * 4 + word] = remote[word];
    }
    this.clientPort[row] = clientPort;
    this.remotePort[row] = remotePort;
    this.peer[row] = peer;
    const bucket = this.#bucketOfRow(row);
    this.#chain[row] = this.#bucket[bucket];
    this.#bucket[bucket] = row + 1;
  }

  /** Lets a linked row be found no more; its columns stay. */
  unlink(row: number): void {
    const bucket = this.#bucketOfRow(row);
    let before = this.#bucket[bucket] - 1;
    if (before === row) {
      this.#bucket[bucket] = this.#chain[row];
      return;
    }
    while (this.#chain[before] !== row + 1) before = this.#chain[before] - 1;
    this.#chain[before] = this.#chain[row];
  }

  #bucketOfRow(row: number): number {
    return this.#bucketOf(
      this.client,
      row * 4,
      this.clientPort[row],
      this.remote,
      row * 4,
      this.remotePort[row],
    );
  }

  #bucketOf(
    client: Int32Array,
    i: number,
    clientPort: number,
    remote: Int32Array,
    j: number,
    remotePort: number,
  ): number {
    const ports = (clientPort << 16) | remotePort;
    let hash = Math.imul(ports ^ this.#seed, 0x9e3779b1);
    for (let word = 0; word < 4; word++) {
      hash = Math.imul(hash ^ remote[j + word], 0x85ebca6b);
      hash ^= hash >>> 13;
      hash = Math.imul(hash ^ client[i + word], 0x85ebca6b);
      hash ^= hash >>> 15;
    }
    return (hash ^ (hash >>> 16)) & this.#mask;
  }
}

function same(column: Int32Array, at: number, words: Int32Array): boolean {
  return column[at + 3] === words[3] && column[at + 2] === words[2] &&
    column[at + 1] === words[1] && column[at] === words[0];
}

function bucketsFor(capacity: number): number {
  return 1 << (32 - Math.clz32(Math.max(1, capacity * 2 - 1)));
}
