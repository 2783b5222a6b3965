/**
 * The relay's connections as columns. A connection is a slot with two sides,
 * each a socket: side 2 * slot is the client's, side 2 * slot + 1 the outside's;
 * `side ^ 1` is the other one. Used by the relay's thread alone.
 */

/** Where a connection stands. */
export const ConnectionState = {
  Free: 0,
  /** The outside connection is being made. */
  Dialing: 1,
  /** It stands; the client's SYN is in, its connection not yet accepted. */
  Entering: 2,
  /** Both sides are joined. */
  Open: 3,
} as const;

/** One of the values of {@linkcode ConnectionState}. */
export type ConnectionState =
  typeof ConnectionState[keyof typeof ConnectionState];

/** What is known of a side: bits. */
export const SideFlag = {
  /** There may be bytes to read. */
  Readable: 1,
  /** There may be room to write. */
  Writable: 2,
  /** The other end finished: reading comes to an end, so it must be read to it. */
  Finishing: 4,
  /** Read to its end, and the other side told. */
  Finished: 8,
  /** Urgent data stops reads where it stands: a short read is not the end of all. */
  Urgent: 16,
  /** Waits for another turn. */
  Queued: 32,
  /** An error waits at the socket. */
  Failed: 64,
} as const;

const NONE = -1;

/** A fixed number of slots. */
export class ConnectionTable {
  readonly capacity: number;
  /** Per side: its socket, or -1. */
  readonly descriptor: Int32Array;
  /** Per side: bits of {@linkcode SideFlag}. */
  readonly flags: Int32Array;
  /** Per slot: a {@linkcode ConnectionState}. */
  readonly state: Int32Array;
  /** Per slot: its row of the redirect table, and that row's generation. */
  readonly row: Int32Array;
  readonly generation: Int32Array;
  /** Per slot: when bytes last moved, ms. */
  readonly activeAt: Float64Array;
  readonly #free: Int32Array;
  #freeCount: number;
  /** Sides that wait for a turn: a list through this column. */
  readonly #next: Int32Array;
  #first = NONE;
  #last = NONE;
  #queued = 0;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.descriptor = new Int32Array(capacity * 2).fill(NONE);
    this.flags = new Int32Array(capacity * 2);
    this.state = new Int32Array(capacity);
    this.row = new Int32Array(capacity);
    this.generation = new Int32Array(capacity);
    this.activeAt = new Float64Array(capacity);
    this.#next = new Int32Array(capacity * 2);
    this.#free = new Int32Array(capacity);
    for (let i = 0; i < capacity; i++) this.#free[i] = capacity - 1 - i;
    this.#freeCount = capacity;
  }

  /** Slots in use. */
  get size(): number {
    return this.capacity - this.#freeCount;
  }

  /** Takes a slot. @returns -1 where none is left. */
  take(row: number, generation: number): number {
    if (this.#freeCount === 0) return -1;
    const slot = this.#free[--this.#freeCount];
    this.state[slot] = ConnectionState.Dialing;
    this.row[slot] = row;
    this.generation[slot] = generation;
    return slot;
  }

  /** Gives a slot back; its sockets are closed. A side in the queue stays there and means nothing. */
  release(slot: number): void {
    const client = slot * 2;
    this.state[slot] = ConnectionState.Free;
    this.descriptor[client] = NONE;
    this.descriptor[client + 1] = NONE;
    this.flags[client] &= SideFlag.Queued;
    this.flags[client + 1] &= SideFlag.Queued;
    this.#free[this.#freeCount++] = slot;
  }

  /** Sides that wait for a turn. */
  get queued(): number {
    return this.#queued;
  }

  /** Lets a side wait for another turn, behind all that do. */
  queue(side: number): void {
    if ((this.flags[side] & SideFlag.Queued) !== 0) return;
    this.flags[side] |= SideFlag.Queued;
    this.#next[side] = NONE;
    if (this.#last === NONE) this.#first = side;
    else this.#next[this.#last] = side;
    this.#last = side;
    this.#queued++;
  }

  /** Takes the side that waits longest; -1 where none does. */
  unqueue(): number {
    const side = this.#first;
    if (side === NONE) return NONE;
    this.#first = this.#next[side];
    if (this.#first === NONE) this.#last = NONE;
    this.flags[side] &= ~SideFlag.Queued;
    this.#queued--;
    return side;
  }
}
