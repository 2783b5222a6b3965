/**
 * The flows of a split tunnel: one row for each protocol and pair of ends, with
 * what was decided about it.
 *
 *     begin()    Free    -> Waiting    the first packet of a flow
 *     settle()   any way -> a way      once, and again whenever the answer changes
 *     release()  any way -> Free
 *
 * A flow is found by its program's own ends, and, once {@linkcode
 * OutsideEnds.link} has named the ends that it has outside, by those:
 *
 *     program    local  : port         remote : port
 *     outside    near   : near port    to     : to port      by an outbound
 *
 * `to` differs from `remote` where a query goes to another resolver than the one
 * that the program asked. ICMP echoes have their identifier for the local port,
 * and 0 for the remote's.
 *
 * Concurrency: the thread that has the packets writes all, but for one thing:
 * what comes for datagrams by a proxy is counted by the relay worker, through
 * whose hands alone it goes. Others read: way and generation are one word by
 * Atomics, which is looked at before and after.
 */
import { ColumnAllocator, type TableBuffer } from "../columns/columns.ts";
import { equalWords } from "../wire/address.ts";
import { ChainedIndex } from "./chained_index.ts";
import { flowHash } from "./flow_hash.ts";
import {
  flowGenerationIn,
  flowWord,
  FREE,
  LAST_FLOW_GENERATION,
  Way,
  wayIn,
} from "./flow_state.ts";
import { snapshotFlow } from "./flow_snapshot.ts";
import { FlowTraffic } from "./flow_traffic.ts";
import type { FlowSnapshot, FlowTableOptions } from "./flow_types.ts";
import { OutsideEnds } from "./outside_ends.ts";
import { TcpProgress } from "./tcp_progress.ts";

export type {
  FlowEnd,
  FlowSnapshot,
  FlowTableOptions,
  FlowVerdict,
} from "./flow_types.ts";
export { flowGenerationIn, FREE, Way, wayIn } from "./flow_state.ts";

// Cells of the header column.
const HIGH_WATER = 0;
const FREE_HEAD = 1; // row + 1
const IN_USE = 2;
const WAITING = 3;
const SWEEP_AT = 4;
const HEADER_CELLS = 6;

const INT_COLUMNS = 22;
const COLUMNS = 18;

/** Flows, as columns over a buffer of zeros. */
export class FlowTable {
  readonly capacity: number;
  /** IP protocol: 6, 17, 1 or 58. */
  readonly protocol: Int32Array;
  /** The program's own address, 4 words a row. */
  readonly local: Int32Array;
  readonly localPort: Int32Array;
  /** The address that the program sends to, 4 words a row. */
  readonly remote: Int32Array;
  readonly remotePort: Int32Array;
  /** Number of the way out. */
  readonly outbound: Int32Array;
  readonly rule: Int32Array;
  /** Where it is really sent, 4 words a row. */
  readonly to: Int32Array;
  readonly toPort: Int32Array;
  /** TCP: the sequence number of its SYN. */
  readonly initialSequence: Int32Array;
  /** TCP that the relay ends: its row of the redirect table + 1; 0 where there is none. */
  readonly redirect: Int32Array;
  /** The ends that it has outside, once it is linked. */
  readonly outside: OutsideEnds;
  /** What it has carried. */
  readonly traffic: FlowTraffic;
  /** TCP: how far it has come. */
  readonly progress: TcpProgress;

  readonly #header: Int32Array;
  readonly #word: Int32Array;
  readonly #nextFree: Int32Array; // row + 1
  readonly #outward: ChainedIndex;
  readonly #seed: number;

  /** Bytes that a table of this size needs. */
  static byteLength({ capacity }: FlowTableOptions): number {
    return (HEADER_CELLS + capacity * INT_COLUMNS) * 4 + COLUMNS * 8 +
      FlowTraffic.byteLength(capacity) +
      ChainedIndex.byteLength(capacity) + OutsideEnds.byteLength(capacity) +
      TcpProgress.byteLength(capacity);
  }

  /** @param buffer zeroed, or one in which another thread has made this table. */
  constructor(buffer: TableBuffer, options: FlowTableOptions) {
    const { capacity } = options;
    const columns = new ColumnAllocator(buffer);
    this.capacity = capacity;
    this.#seed = (options.seed ?? 0) | 0;
    this.#header = columns.int32(HEADER_CELLS);
    this.#word = columns.int32(capacity);
    this.#nextFree = columns.int32(capacity);
    this.protocol = columns.int32(capacity);
    this.local = columns.int32(capacity * 4);
    this.localPort = columns.int32(capacity);
    this.remote = columns.int32(capacity * 4);
    this.remotePort = columns.int32(capacity);
    this.outbound = columns.int32(capacity);
    this.rule = columns.int32(capacity);
    this.to = columns.int32(capacity * 4);
    this.toPort = columns.int32(capacity);
    this.initialSequence = columns.int32(capacity);
    this.redirect = columns.int32(capacity);
    this.traffic = new FlowTraffic(columns, capacity);
    this.progress = new TcpProgress(columns, capacity);
    this.#outward = new ChainedIndex(columns, capacity);
    this.outside = new OutsideEnds(columns, this, this.#seed);
  }

  /** Flows that are there. Any thread. */
  get size(): number {
    return Atomics.load(this.#header, IN_USE);
  }

  /** Flows that nobody has decided about. Any thread. */
  get waiting(): number {
    return Atomics.load(this.#header, WAITING);
  }

  /** Rows that were ever used: all others are free. Any thread. */
  get highWater(): number {
    return Atomics.load(this.#header, HIGH_WATER);
  }

  /** Way and generation at once, for {@linkcode wayIn} and {@linkcode flowGenerationIn}. Any thread. */
  wordOf(row: number): number {
    return Atomics.load(this.#word, row);
  }

  /** The {@linkcode Way} of a row, or {@linkcode FREE}. Any thread; `row` may be anything. */
  wayOf(row: number): number {
    return row >= 0 && row < this.capacity ? wayIn(this.wordOf(row)) : FREE;
  }

  /** Which of the row's flows it has now. Any thread. */
  generationOf(row: number): number {
    return flowGenerationIn(this.wordOf(row));
  }

  /** Whether a row still has that flow. Any thread; `row` may be anything. */
  has(row: number, generation: number): boolean {
    return this.wayOf(row) !== FREE && this.generationOf(row) === generation;
  }

  /** The flow of a program's ends: words from index 0. @returns the row, or -1. */
  lookup(
    protocol: number,
    local: Int32Array,
    localPort: number,
    remote: Int32Array,
    remotePort: number,
  ): number {
    const ports = (localPort << 16) | remotePort;
    let row = this.#outward.first(
      flowHash(this.#seed, protocol, ports, local, 0, remote, 0),
    );
    while (row >= 0) {
      const at = row * 4;
      if (
        this.localPort[row] === localPort &&
        this.remotePort[row] === remotePort &&
        this.protocol[row] === protocol &&
        equalWords(this.remote, at, remote, 0) &&
        equalWords(this.local, at, local, 0)
      ) return row;
      row = this.#outward.next(row);
    }
    return -1;
  }

  /** Makes a row for a flow that nobody has decided about. @returns the row, or -1 where none is free. */
  begin(
    protocol: number,
    local: Int32Array,
    localPort: number,
    remote: Int32Array,
    remotePort: number,
    now: number,
  ): number {
    const row = this.#take();
    if (row < 0) return -1;
    const last = flowGenerationIn(this.#word[row]);
    this.protocol[row] = protocol;
    this.localPort[row] = localPort;
    this.remotePort[row] = remotePort;
    for (let word = 0; word < 4; word++) {
      this.local[row * 4 + word] = local[word];
      this.remote[row * 4 + word] = remote[word];
      this.to[row * 4 + word] = remote[word];
    }
    this.toPort[row] = remotePort;
    this.outbound[row] = 0;
    this.rule[row] = 0;
    this.redirect[row] = 0;
    this.initialSequence[row] = 0;
    this.traffic.begin(row, now);
    this.progress.begin(row, now);
    this.#outward.add(row, this.#outwardHash(row));
    Atomics.add(this.#header, IN_USE, 1);
    Atomics.add(this.#header, WAITING, 1);
    const generation = last === LAST_FLOW_GENERATION ? 1 : last + 1;
    Atomics.store(this.#word, row, flowWord(generation, Way.Waiting));
    return row;
  }

  /** Decides about a flow; it is no longer found by what it had outside. */
  settle(
    row: number,
    way: Way,
    outbound: number,
    rule: number,
    to: Int32Array,
    i: number,
    toPort: number,
  ): void {
    this.outside.unlink(row);
    const word = this.#word[row];
    const generation = flowGenerationIn(word);
    if (wayIn(word) === Way.Waiting) Atomics.sub(this.#header, WAITING, 1);
    this.outbound[row] = outbound;
    this.rule[row] = rule;
    for (let n = 0; n < 4; n++) this.to[row * 4 + n] = to[i + n];
    this.toPort[row] = toPort;
    Atomics.store(this.#word, row, flowWord(generation, way));
  }

  /** Frees a row. */
  release(row: number): void {
    const word = this.#word[row];
    if (wayIn(word) === FREE) return;
    this.outside.unlink(row);
    this.#outward.remove(row, this.#outwardHash(row));
    if (wayIn(word) === Way.Waiting) Atomics.sub(this.#header, WAITING, 1);
    Atomics.store(this.#word, row, flowWord(flowGenerationIn(word), FREE));
    Atomics.sub(this.#header, IN_USE, 1);
    this.#nextFree[row] = this.#header[FREE_HEAD];
    this.#header[FREE_HEAD] = row + 1;
  }

  /** The next row of a walk round all that were ever used. */
  nextSwept(): number {
    const header = this.#header;
    const row = header[SWEEP_AT] < header[HIGH_WATER] ? header[SWEEP_AT] : 0;
    header[SWEEP_AT] = row + 1;
    return row;
  }

  /** The flow of a row; undefined where it has none, or just changes. Any thread. */
  snapshot(row: number): FlowSnapshot | undefined {
    return snapshotFlow(this, row);
  }

  /** Rows that have a flow. Any thread; they may change meanwhile. */
  *rows(): Generator<number> {
    for (let row = 0; row < this.highWater; row++) {
      if (this.wayOf(row) !== FREE) yield row;
    }
  }

  #take(): number {
    const header = this.#header;
    const row = header[FREE_HEAD] - 1;
    if (row >= 0) {
      header[FREE_HEAD] = this.#nextFree[row];
      return row;
    }
    return header[HIGH_WATER] < this.capacity ? header[HIGH_WATER]++ : -1;
  }

  #outwardHash(row: number): number {
    const ports = (this.localPort[row] << 16) | this.remotePort[row];
    const { local, remote } = this;
    return flowHash(
      this.#seed,
      this.protocol[row],
      ports,
      local,
      row * 4,
      remote,
      row * 4,
    );
  }
}
