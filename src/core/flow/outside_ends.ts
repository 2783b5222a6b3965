/**
 * Flows by the ends that they have outside, where what comes in is for them:
 *
 *     near : near port    to : to port      by an outbound
 *
 * The thread that has the flows links and looks up; others look up.
 */
import type { ColumnAllocator } from "../columns/columns.ts";
import { equalWords } from "../wire/address.ts";
import { ChainedIndex } from "./chained_index.ts";
import { flowHash } from "./flow_hash.ts";
import { FREE, Way, wayIn } from "./flow_state.ts";

/** The columns of flows that decide where one is found. */
export interface FlowColumns {
  readonly capacity: number;
  readonly protocol: Int32Array;
  readonly outbound: Int32Array;
  /** The program's own address, 4 words a row. */
  readonly local: Int32Array;
  readonly localPort: Int32Array;
  /** Where it is really sent, 4 words a row. */
  readonly to: Int32Array;
  readonly toPort: Int32Array;
  /** Way and generation at once. */
  wordOf(row: number): number;
}

/** Whose thread looks a flow up. */
export const Reader = {
  /** The one that has the flows. */
  Owner: 0,
  /**
   * Another one, which may find the chains just being changed: a flow that is
   * decided is missed hardly ever, and one that is found is right.
   */
  Other: 1,
} as const;

/** One of the values of {@linkcode Reader}. */
export type Reader = typeof Reader[keyof typeof Reader];

/** Links that another thread follows at most. */
const OTHERS_STEPS = 64;
const INT_COLUMNS = 6;
const COLUMNS = 3;

/** See the module header. */
export class OutsideEnds {
  /** The address that the flow has outside, 4 words a row; once it is linked. */
  readonly near: Int32Array;
  readonly nearPort: Int32Array;
  readonly #flows: FlowColumns;
  /** 1 where the row is found here. */
  readonly #linked: Int32Array;
  readonly #index: ChainedIndex;
  readonly #seed: number;

  /** Bytes for that many rows. */
  static byteLength(capacity: number): number {
    return capacity * INT_COLUMNS * 4 + COLUMNS * 8 +
      ChainedIndex.byteLength(capacity);
  }

  constructor(columns: ColumnAllocator, flows: FlowColumns, seed: number) {
    const { capacity } = flows;
    this.#flows = flows;
    this.#seed = seed;
    this.near = columns.int32(capacity * 4);
    this.nearPort = columns.int32(capacity);
    this.#linked = columns.int32(capacity);
    this.#index = new ChainedIndex(columns, capacity);
  }

  /** Whether a flow is found by its ends outside. */
  has(row: number): boolean {
    return this.#linked[row] === 1;
  }

  /**
   * The flow that what comes in by an outbound is for.
   * @param near our end: words from index `i`
   * @param to the other end: words from index `j`
   * @returns the row, or -1
   */
  lookup(
    outbound: number,
    protocol: number,
    near: Int32Array,
    i: number,
    nearPort: number,
    to: Int32Array,
    j: number,
    toPort: number,
    reader: Reader = Reader.Owner,
  ): number {
    const flows = this.#flows;
    const index = this.#index;
    const isOwner = reader === Reader.Owner;
    const beyond = isOwner ? FREE : Way.Waiting;
    const ports = (nearPort << 16) | toPort;
    const kind = (outbound << 8) | protocol;
    let row = index.first(flowHash(this.#seed, kind, ports, near, i, to, j));
    let left = isOwner ? flows.capacity : OTHERS_STEPS;
    for (; row >= 0 && left > 0; left--) {
      const at = row * 4;
      // Before and after, the word says that the row stayed what it was.
      const word = flows.wordOf(row);
      if (
        wayIn(word) > beyond && this.nearPort[row] === nearPort &&
        flows.toPort[row] === toPort && flows.protocol[row] === protocol &&
        flows.outbound[row] === outbound &&
        equalWords(flows.to, at, to, j) &&
        equalWords(this.near, at, near, i) && flows.wordOf(row) === word
      ) return row;
      row = index.next(row);
    }
    return -1;
  }

  /**
   * Names the end that an unlinked flow has outside.
   * @param near words from index `i`
   * @returns false where another flow of its outbound has the same ends
   */
  link(row: number, near: Int32Array, i: number, nearPort: number): boolean {
    const { outbound, protocol, to, toPort } = this.#flows;
    const taken = this.lookup(
      outbound[row],
      protocol[row],
      near,
      i,
      nearPort,
      to,
      row * 4,
      toPort[row],
    );
    if (taken >= 0) return false;
    for (let n = 0; n < 4; n++) this.near[row * 4 + n] = near[i + n];
    this.nearPort[row] = nearPort;
    this.#linked[row] = 1;
    this.#index.add(row, this.#hash(row));
    return true;
  }

  /**
   * Lets a flow whose end outside is its program's own be found by that. Where
   * two flows of one socket have become the same, the first one hears the answers.
   */
  linkLocally(row: number): void {
    if (this.has(row)) return;
    const { local, localPort } = this.#flows;
    this.link(row, local, row * 4, localPort[row]);
  }

  /** Lets a flow be found no more by its ends outside, before anything of it changes. */
  unlink(row: number): void {
    if (this.#linked[row] === 0) return;
    this.#index.remove(row, this.#hash(row));
    this.#linked[row] = 0;
  }

  #hash(row: number): number {
    const { outbound, protocol, to, toPort } = this.#flows;
    const ports = (this.nearPort[row] << 16) | toPort[row];
    const kind = (outbound[row] << 8) | protocol[row];
    const at = row * 4;
    return flowHash(this.#seed, kind, ports, this.near, at, to, at);
  }
}
