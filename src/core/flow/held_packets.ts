/**
 * First packets of flows that nobody has decided about, bounded in every way:
 * so many in all, so many of one flow, so long each.
 *
 *     add()      a packet waits for its flow's verdict
 *     release()  its flow is decided: its packets are ready, in their order
 *     next()     the next ready one goes into a batch
 *     forget()   its flow is over: its packets are gone
 *
 * Slots of two sizes: what programs begin with is short, hardly anything is not.
 */
import type { Batch } from "../columns/batch.ts";
import { copyBytes } from "../wire/bytes.ts";

/** How much may wait. */
export interface HeldPacketsOptions {
  /** Rows of the flow table. */
  readonly flows: number;
  /** Packets of up to {@linkcode SHORT} bytes. */
  readonly short: number;
  /** Longer ones, 64 KiB of memory each. */
  readonly long: number;
  readonly perFlow: number;
}

/** Bytes of a short packet at most. */
export const SHORT = 2048;
const LONG = 65_536;

/** See the module header. */
export class HeldPackets {
  /** The flow of the packet that {@linkcode next} gave last, and its generation. */
  flow = -1;
  generation = 0;
  readonly #options: HeldPacketsOptions;
  readonly #bytes: Uint8Array;
  readonly #length: Int32Array;
  readonly #flow: Int32Array;
  readonly #generation: Int32Array;
  readonly #heldAt: Float64Array;
  /** The next slot of its flow, of the ready ones, or of the free ones of its size; slot + 1. */
  readonly #next: Int32Array;
  readonly #first: Int32Array; // by flow; slot + 1
  readonly #last: Int32Array;
  readonly #count: Int32Array;
  #freeShort = 0;
  #freeLong = 0;
  #readyFirst = 0;
  #readyLast = 0;
  #size = 0;

  constructor(options: HeldPacketsOptions) {
    const { flows, short, long } = options;
    const slots = short + long;
    this.#options = options;
    this.#bytes = new Uint8Array(short * SHORT + long * LONG);
    this.#length = new Int32Array(slots);
    this.#flow = new Int32Array(slots).fill(-1);
    this.#generation = new Int32Array(slots);
    this.#heldAt = new Float64Array(slots);
    this.#next = new Int32Array(slots);
    this.#first = new Int32Array(flows);
    this.#last = new Int32Array(flows);
    this.#count = new Int32Array(flows);
    for (let slot = slots - 1; slot >= 0; slot--) this.#free(slot);
  }

  /** Packets that wait, ready ones included. */
  get size(): number {
    return this.#size;
  }

  /** Whether a packet is ready. */
  get isReady(): boolean {
    return this.#readyFirst !== 0;
  }

  /** Keeps a copy of a packet. @returns false where there is no room for it */
  add(
    flow: number,
    generation: number,
    bytes: Uint8Array,
    at: number,
    length: number,
    now: number,
  ): boolean {
    if (this.#count[flow] >= this.#options.perFlow) return false;
    const slot = length <= SHORT ? this.#takeShort() : this.#takeLong();
    if (slot < 0) return false;
    copyBytes(this.#bytes, this.#at(slot), bytes, at, length);
    this.#length[slot] = length;
    this.#flow[slot] = flow;
    this.#generation[slot] = generation;
    this.#heldAt[slot] = now;
    this.#next[slot] = 0;
    if (this.#first[flow] === 0) this.#first[flow] = slot + 1;
    else this.#next[this.#last[flow] - 1] = slot + 1;
    this.#last[flow] = slot + 1;
    this.#count[flow]++;
    this.#size++;
    return true;
  }

  /** Makes all packets of a flow ready. */
  release(flow: number): void {
    const first = this.#first[flow];
    if (first === 0) return;
    if (this.#readyFirst === 0) this.#readyFirst = first;
    else this.#next[this.#readyLast - 1] = first;
    this.#readyLast = this.#last[flow];
    this.#first[flow] = 0;
    this.#count[flow] = 0;
  }

  /** Throws the packets of a flow away, ready ones excepted. @returns how many */
  forget(flow: number): number {
    const count = this.#count[flow];
    let left = this.#first[flow];
    while (left !== 0) {
      const slot = left - 1;
      left = this.#next[slot];
      this.#free(slot);
      this.#size--;
    }
    this.#first[flow] = 0;
    this.#count[flow] = 0;
    return count;
  }

  /**
   * Appends the next ready packet to a batch, undecided.
   * @returns its row; -1 where none is ready or the batch has no room
   */
  next(batch: Batch, peer: number): number {
    const slot = this.#readyFirst - 1;
    if (slot < 0) return -1;
    const length = this.#length[slot];
    const row = batch.append(length, peer);
    if (row < 0) return -1;
    copyBytes(
      batch.bytes,
      batch.offset[row],
      this.#bytes,
      this.#at(slot),
      length,
    );
    this.flow = this.#flow[slot];
    this.generation = this.#generation[slot];
    this.#readyFirst = this.#next[slot];
    this.#free(slot);
    this.#size--;
    return row;
  }

  /** A flow whose first packet waits since before a time, or -1; ready ones don't wait. */
  overdue(before: number): number {
    for (let slot = 0; slot < this.#flow.length; slot++) {
      const flow = this.#flow[slot];
      if (
        flow >= 0 && this.#heldAt[slot] < before &&
        this.#first[flow] === slot + 1
      ) return flow;
    }
    return -1;
  }

  #at(slot: number): number {
    const { short } = this.#options;
    return slot < short ? slot * SHORT : short * SHORT + (slot - short) * LONG;
  }

  #free(slot: number): void {
    this.#flow[slot] = -1;
    if (slot < this.#options.short) {
      this.#next[slot] = this.#freeShort;
      this.#freeShort = slot + 1;
    } else {
      this.#next[slot] = this.#freeLong;
      this.#freeLong = slot + 1;
    }
  }

  #takeShort(): number {
    const slot = this.#freeShort - 1;
    if (slot >= 0) this.#freeShort = this.#next[slot];
    return slot;
  }

  #takeLong(): number {
    const slot = this.#freeLong - 1;
    if (slot >= 0) this.#freeLong = this.#next[slot];
    return slot;
  }
}
