/**
 * Sessions (key pairs) as columns that the control thread and the packet
 * workers share.
 *
 * The control thread alone reserves, establishes and releases slots. A slot's
 * number is the low part of the index that the peer puts into its packets, so
 * that a lookup is one load and one comparison:
 *
 *     receiver index:  random high bits | slot (log2 capacity bits)
 *
 * A slot goes Free -> Reserved (a handshake of ours waits for its answer)
 * -> Current or Unconfirmed -> Free. A responder's session starts Unconfirmed
 * and is Confirmed by its first authenticated packet (WireGuard paper 5.4.5);
 * a worker does that by {@linkcode SessionTable.confirm}.
 *
 * Every change of a slot's keys changes its generation first. A worker caches a
 * cipher context with the generation it was made for, and checks
 * `generation[slot]` again after it has sealed and before it sends: a packet
 * sealed while the keys were being erased must not leave.
 */
import { ColumnAllocator, type TableBuffer } from "../columns/columns.ts";
import { REPLAY_ROW_BYTES, ReplayWindows } from "./replay.ts";

/** States of a slot. */
export const SessionState = {
  Free: 0,
  /** An index is given out, there are no keys yet. */
  Reserved: 1,
  /** Keys of a responder whose initiator has not shown yet that it has them. */
  Unconfirmed: 2,
  /** Usable for both directions. */
  Confirmed: 3,
} as const;

/** One of the values of {@linkcode SessionState}. */
export type SessionState = typeof SessionState[keyof typeof SessionState];

/** Counters that may be given out in one session; far more than 180 s can use. */
export const SEND_COUNTER_LIMIT = 2 ** 32 - 2 ** 13;

/** What turns a reserved slot into a session. */
export interface SessionKeys {
  /** The peer's index for this session. */
  readonly remoteIndex: number;
  /** True where our side sent the initiation. */
  readonly initiator: boolean;
  /** Time of creation, ms. */
  readonly now: number;
  /** 32 bytes each; they are copied. */
  readonly sendKey: Uint8Array;
  readonly receiveKey: Uint8Array;
}

const KEY_LENGTH = 32;

/** The sessions of all peers. */
export class SessionTable {
  readonly capacity: number;
  /** A {@linkcode SessionState}; read and written by Atomics. */
  readonly state: Int32Array;
  /** Changes whenever the keys of a slot change; read by Atomics. */
  readonly generation: Int32Array;
  /** Our index, as signed 32 bits. */
  readonly receiverIndex: Int32Array;
  /** The peer's index, as signed 32 bits. */
  readonly remoteIndex: Int32Array;
  /** Row in the peer table. */
  readonly peer: Int32Array;
  /** 1 where our side sent the initiation. */
  readonly initiator: Int32Array;
  /** Counters given out so far, as signed 32 bits; Atomics. */
  readonly sendCounter: Int32Array;
  /** Time of creation, ms. A session older than 180 s must not be used. */
  readonly createdAt: Float64Array;
  readonly #sendKeys: Uint8Array;
  readonly #receiveKeys: Uint8Array;
  readonly #replay: ReplayWindows;
  readonly #mask: number;
  readonly #sendKeyViews: Uint8Array[] = [];
  readonly #receiveKeyViews: Uint8Array[] = [];
  /** Free slots, oldest first, so that a slot is reused as late as possible. */
  #free: Int32Array | undefined;
  #freeHead = 0;
  #freeCount = 0;

  /** Bytes that a table of `capacity` slots needs. */
  static byteLength(capacity: number): number {
    return capacity * (7 * 4 + 2 * 8 + 2 * KEY_LENGTH + REPLAY_ROW_BYTES) +
      16 * 8;
  }

  /**
   * @param buffer zeroed, or one in which another thread has made this table.
   * @throws RangeError where capacity is not a power of two in 1 .. 2^20.
   */
  constructor(buffer: TableBuffer, capacity: number) {
    if (
      capacity < 1 || capacity > 2 ** 20 || (capacity & (capacity - 1)) !== 0
    ) {
      throw new RangeError(
        `session capacity ${capacity} is not a power of two in 1 to 2^20`,
      );
    }
    const columns = new ColumnAllocator(buffer);
    this.capacity = capacity;
    this.#mask = capacity - 1;
    this.state = columns.int32(capacity);
    this.generation = columns.int32(capacity);
    this.receiverIndex = columns.int32(capacity);
    this.remoteIndex = columns.int32(capacity);
    this.peer = columns.int32(capacity);
    this.initiator = columns.int32(capacity);
    this.sendCounter = columns.int32(capacity);
    this.createdAt = columns.float64(capacity);
    this.#sendKeys = columns.bytes(capacity * KEY_LENGTH);
    this.#receiveKeys = columns.bytes(capacity * KEY_LENGTH);
    this.#replay = new ReplayWindows(columns, capacity);
  }

  /**
   * The slot of an index from a transport message.
   * @returns the slot of a session with keys, or -1.
   */
  lookup(receiverIndex: number): number {
    const slot = receiverIndex & this.#mask;
    if (Atomics.load(this.state, slot) < SessionState.Unconfirmed) return -1;
    return this.receiverIndex[slot] === (receiverIndex | 0) ? slot : -1;
  }

  /** The slot of an index in state Reserved (an unanswered initiation), or -1. */
  lookupReserved(receiverIndex: number): number {
    const slot = receiverIndex & this.#mask;
    if (Atomics.load(this.state, slot) !== SessionState.Reserved) return -1;
    return this.receiverIndex[slot] === (receiverIndex | 0) ? slot : -1;
  }

  /**
   * Takes `count` consecutive counters for sealing; any thread may call it.
   * @returns the first of them, or -1 where the session is used up.
   */
  reserveCounters(slot: number, count: number): number {
    if (
      (Atomics.load(this.sendCounter, slot) >>> 0) + count > SEND_COUNTER_LIMIT
    ) return -1;
    return Atomics.add(this.sendCounter, slot, count) >>> 0;
  }

  /**
   * The replay check (RFC 6479), after authentication; one thread only.
   * @returns false where the packet must be dropped.
   */
  acceptCounter(slot: number, counter: number): boolean {
    return this.#replay.accept(slot, counter);
  }

  /**
   * Notes that a packet of an Unconfirmed session was authentic.
   * @returns true for the one caller that made the change: it raises
   * PeerEvent.SessionConfirmed.
   */
  confirm(slot: number): boolean {
    if (this.state[slot] !== SessionState.Unconfirmed) return false;
    return Atomics.compareExchange(
      this.state,
      slot,
      SessionState.Unconfirmed,
      SessionState.Confirmed,
    ) === SessionState.Unconfirmed;
  }

  /** The slot's 32-byte sending key: a view of the shared column, made once. */
  sendKey(slot: number): Uint8Array {
    return this.#sendKeyViews[slot] ??= keyView(this.#sendKeys, slot);
  }

  /** The slot's 32-byte receiving key: a view of the shared column, made once. */
  receiveKey(slot: number): Uint8Array {
    return this.#receiveKeyViews[slot] ??= keyView(this.#receiveKeys, slot);
  }

  /** Slots that are free now. Control thread. */
  get freeCount(): number {
    this.#freeSlots();
    return this.#freeCount;
  }

  /**
   * Takes a slot and gives it an index with the random bits of `random`.
   * Control thread.
   * @returns the slot, or -1 where the table is full.
   */
  reserve(peer: number, random: number): number {
    const free = this.#freeSlots();
    if (this.#freeCount === 0) return -1;
    const slot = free[this.#freeHead];
    this.#freeHead = (this.#freeHead + 1) & this.#mask;
    this.#freeCount--;
    this.peer[slot] = peer;
    this.receiverIndex[slot] = (random & ~this.#mask) | slot;
    Atomics.store(this.state, slot, SessionState.Reserved);
    return slot;
  }

  /**
   * Gives a reserved slot its keys. Control thread.
   * @param state Confirmed for an initiator, Unconfirmed for a responder.
   */
  establish(slot: number, state: SessionState, keys: SessionKeys): void {
    Atomics.add(this.generation, slot, 1);
    this.remoteIndex[slot] = keys.remoteIndex | 0;
    this.initiator[slot] = keys.initiator ? 1 : 0;
    this.createdAt[slot] = keys.now;
    this.#sendKeys.set(keys.sendKey, slot * KEY_LENGTH);
    this.#receiveKeys.set(keys.receiveKey, slot * KEY_LENGTH);
    this.#replay.reset(slot);
    Atomics.store(this.sendCounter, slot, 0);
    Atomics.store(this.state, slot, state);
  }

  /**
   * Reserves and establishes in one step. Control thread.
   * @returns the slot, or -1 where the table is full.
   */
  install(
    peer: number,
    random: number,
    state: SessionState,
    keys: SessionKeys,
  ): number {
    const slot = this.reserve(peer, random);
    if (slot >= 0) this.establish(slot, state, keys);
    return slot;
  }

  /** Ends a slot's session and erases its keys. Control thread. */
  release(slot: number): void {
    if (this.state[slot] === SessionState.Free) return;
    const free = this.#freeSlots();
    Atomics.store(this.state, slot, SessionState.Free);
    Atomics.add(this.generation, slot, 1);
    this.#sendKeys.fill(0, slot * KEY_LENGTH, (slot + 1) * KEY_LENGTH);
    this.#receiveKeys.fill(0, slot * KEY_LENGTH, (slot + 1) * KEY_LENGTH);
    free[(this.#freeHead + this.#freeCount) & this.#mask] = slot;
    this.#freeCount++;
  }

  /** The control thread's queue of free slots, made when it is first needed. */
  #freeSlots(): Int32Array {
    if (this.#free === undefined) {
      this.#free = new Int32Array(this.capacity);
      for (let slot = 0; slot < this.capacity; slot++) {
        if (this.state[slot] === SessionState.Free) {
          this.#free[this.#freeCount++] = slot;
        }
      }
    }
    return this.#free;
  }
}

function keyView(keys: Uint8Array, slot: number): Uint8Array {
  return keys.subarray(slot * KEY_LENGTH, (slot + 1) * KEY_LENGTH);
}
