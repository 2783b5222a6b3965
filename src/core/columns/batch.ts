/**
 * A batch of packets: an arena of bytes and one row of columns per packet.
 *
 * Stages read the columns and rewrite bytes and verdict in place. A stage that
 * answers a packet (an ICMP error, a RST, a fragment) appends a row; appended
 * rows live in the arena's spare area with room before and behind them for the
 * tunnel's header, padding and tag. Nothing here allocates after construction.
 */
import { Verdict } from "./verdict.ts";
import type { DropReason } from "./drop_reason.ts";

/** Where a batch keeps its bytes. */
export interface BatchOptions {
  /** The arena; in the product the memory of the worker's WASM kernels. */
  readonly bytes: Uint8Array;
  /** Rows that the batch can hold, appended ones included. */
  readonly capacity: number;
  /** Start of the spare area for appended rows, in bytes from the arena's start. */
  readonly spareStart: number;
  /** End of the spare area. */
  readonly spareEnd: number;
  /** Bytes kept free before each appended row. */
  readonly headroom: number;
  /** Bytes kept free behind each appended row. */
  readonly tailroom: number;
}

/** A fixed set of rows over an arena; `count` of them are in use. */
export class Batch {
  readonly bytes: Uint8Array;
  readonly capacity: number;
  readonly headroom: number;
  readonly tailroom: number;
  /** Start of the row's bytes in the arena. */
  readonly offset: Int32Array;
  /** Length of the row in bytes. */
  readonly length: Int32Array;
  /** A {@linkcode Verdict}. */
  readonly verdict: Int32Array;
  /** What the verdict is about: a peer, a NAT row or a DropReason. */
  readonly target: Int32Array;
  /** The peer that the packet came from; -1 where it came from no peer. */
  readonly peer: Int32Array;
  /** The outer or outside address: 4 words a row, IPv4 as ::ffff:a.b.c.d. */
  readonly remote: Int32Array;
  /** The port that goes with `remote`. */
  readonly remotePort: Int32Array;
  /** TTL or hop limit to send with; 0 leaves it to the system. */
  readonly hopLimit: Int32Array;
  /** 1 where the packet must not be fragmented on its way. */
  readonly dontFragment: Int32Array;
  /**
   * 1 where the transport checksum is partial: the field holds the folded sum of
   * the pseudo-header, not inverted, and a device or the system completes it.
   */
  readonly partial: Int32Array;
  /** Rows in use. */
  count = 0;

  readonly #spareStart: number;
  readonly #spareEnd: number;
  #spareAt: number;

  constructor(options: BatchOptions) {
    const { capacity } = options;
    this.bytes = options.bytes;
    this.capacity = capacity;
    this.headroom = options.headroom;
    this.tailroom = options.tailroom;
    this.offset = new Int32Array(capacity);
    this.length = new Int32Array(capacity);
    this.verdict = new Int32Array(capacity);
    this.target = new Int32Array(capacity);
    this.peer = new Int32Array(capacity);
    this.remote = new Int32Array(capacity * 4);
    this.remotePort = new Int32Array(capacity);
    this.hopLimit = new Int32Array(capacity);
    this.dontFragment = new Int32Array(capacity);
    this.partial = new Int32Array(capacity);
    this.#spareStart = options.spareStart;
    this.#spareEnd = options.spareEnd;
    this.#spareAt = options.spareStart;
  }

  /** Forgets all rows and gives the spare area back. */
  clear(): void {
    this.count = 0;
    this.#spareAt = this.#spareStart;
  }

  /**
   * Adds a row for bytes that already lie in the arena.
   * @returns the row, or -1 where the batch is full.
   */
  push(offset: number, length: number, peer: number): number {
    const row = this.count;
    if (row === this.capacity) return -1;
    this.count = row + 1;
    this.offset[row] = offset;
    this.length[row] = length;
    this.verdict[row] = Verdict.Undecided;
    this.target[row] = 0;
    this.peer[row] = peer;
    this.remotePort[row] = 0;
    this.hopLimit[row] = 0;
    this.dontFragment[row] = 0;
    this.partial[row] = 0;
    return row;
  }

  /**
   * Adds a row of `length` bytes in the spare area, with head- and tailroom,
   * aligned to 16. Its bytes are whatever was there before.
   * @returns the row, or -1 where rows or spare bytes are used up.
   */
  append(length: number, peer: number): number {
    if (this.count === this.capacity) return -1;
    const offset = this.reserve(length);
    return offset < 0 ? -1 : this.push(offset, length, peer);
  }

  /**
   * Takes `length` bytes of the spare area as for an appended row, without the
   * row: room for what no later stage looks at.
   * @returns their offset, or -1 where spare bytes are used up.
   */
  reserve(length: number): number {
    const offset = (this.#spareAt + this.headroom + 15) & ~15;
    const end = offset + length + this.tailroom;
    if (end > this.#spareEnd) return -1;
    this.#spareAt = end;
    return offset;
  }

  /** Whether the row lies in the spare area, with head- and tailroom around it. */
  hasRoom(row: number): boolean {
    const offset = this.offset[row];
    return offset >= this.#spareStart && offset < this.#spareEnd;
  }

  /** Decides a row. */
  decide(row: number, verdict: Verdict, target: number): void {
    this.verdict[row] = verdict;
    this.target[row] = target;
  }

  /** Drops a row for a reason. */
  drop(row: number, reason: DropReason): void {
    this.verdict[row] = Verdict.Drop;
    this.target[row] = reason;
  }
}
