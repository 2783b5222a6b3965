/**
 * TCP connections that the system's own stack ends for us: one row a connection,
 * and the row is the port: row r has port 1024 + r at the relay's address. The
 * key is the pair of both ends, and the peer.
 *
 *     open worker                       relay worker        rows
 *     Free --begin()--> Dialing
 *                       Dialing --settle()--> Open | Refused
 *          close():  Open -> Closed, found by its pair a while longer   rests
 *          forget(): any  -> Free, found no more                        rests
 *     a row that has rested is released, and taken again first in first out
 *
 * A row's generation grows with each connection; generation % generations picks
 * the address beside the relay's from which the kernel sees it come, so that a
 * row that is used again is none that the kernel may hold in TIME_WAIT.
 *
 * Concurrency: the open worker writes everything but what TcpProgress gives to
 * the seal worker; the relay worker settles. State and generation are one word
 * that changes by Atomics alone: whoever acts on a row names the generation that
 * it means, and a word that has changed refuses it. A row's columns change while
 * its word is Free: another thread that reads them looks at the word before and
 * after (a seqlock), and finds it changed hardly ever, because rows rest.
 */
import { ColumnAllocator, type TableBuffer } from "../columns/columns.ts";
import { PairIndex } from "./pair_index.ts";
import {
  generationIn,
  isPassing,
  LAST_GENERATION,
  RedirectState,
  redirectWord,
  stateIn,
} from "./redirect_state.ts";
import { TcpProgress } from "./tcp_progress.ts";

export {
  generationIn,
  isPassing,
  RedirectState,
  stateIn,
} from "./redirect_state.ts";

/** The size of a redirect table; the same in every worker. */
export interface RedirectTableOptions {
  /** Connections at once, at most {@linkcode MAX_REDIRECTS}. */
  readonly capacity: number;
  /** Peers that the peer table can hold; 1 where there are none. */
  readonly peers: number;
  /** Addresses beside the relay's: a power of two. */
  readonly generations: number;
  /** Random, so that no client can choose pairs that fall together; 32 bits. */
  readonly seed?: number;
}

/** Rows that have a port each, from {@linkcode FIRST_PORT} to 65535. */
export const MAX_REDIRECTS = 64512;
/** The port of row 0. */
export const FIRST_PORT = 1024;

// Cells of the header column. A queue's last row is in the cell behind its first.
const HIGH_WATER = 0;
const IN_USE = 1;
const SWEEP_AT = 2;
const FREE = 3; // row + 1
const RESTING = 5; // row + 1
const RESTING_COUNT = 7;
const HEADER_CELLS = 8;

/** Bits of the marks column. */
const Mark = { Linked: 1, Resting: 2, Owing: 4 } as const;

const INT_COLUMNS = 10;
const COLUMNS = 11;

/** Redirected connections, as columns over a buffer of zeros. */
export class RedirectTable {
  readonly capacity: number;
  readonly generations: number;
  /** The client's address words, 4 a row. */
  readonly client: Int32Array;
  readonly clientPort: Int32Array;
  /** The address words of the true destination, 4 a row. */
  readonly remote: Int32Array;
  readonly remotePort: Int32Array;
  /** The peer behind which the client is. */
  readonly peer: Int32Array;
  /** The sequence number of the client's SYN. Open worker. */
  readonly initialSequence: Int32Array;
  /** By which way out it is dialed; 0 where there is but one. */
  readonly outbound: Int32Array;
  /** The address words that are dialed, 4 a row: the remote's, unless {@linkcode RedirectTable.route} named others. */
  readonly target: Int32Array;
  readonly targetPort: Int32Array;
  /** How far each connection has come. */
  readonly progress: TcpProgress;

  readonly #header: Int32Array;
  readonly #word: Int32Array; // generation << 3 | state
  readonly #marks: Int32Array;
  readonly #pairs: PairIndex;
  readonly #queue: Int32Array; // row + 1
  readonly #endedAt: Float64Array;
  readonly #peerLive: Int32Array;
  readonly #peerDialing: Int32Array;

  /** Bytes that a table of this size needs. */
  static byteLength(options: RedirectTableOptions): number {
    const { capacity, peers } = options;
    const cells = HEADER_CELLS + capacity * INT_COLUMNS + peers * 2;
    return cells * 4 + capacity * 8 + COLUMNS * 8 +
      PairIndex.byteLength(capacity) +
      TcpProgress.byteLength(capacity);
  }

  /**
   * @param buffer zeroed, or one in which another worker has made this table.
   * @throws {RangeError} for a size that can't be.
   */
  constructor(buffer: TableBuffer, options: RedirectTableOptions) {
    const { capacity, peers, generations } = options;
    if (capacity < 1 || capacity > MAX_REDIRECTS) {
      throw new RangeError(
        `${capacity} redirects are not from 1 to ${MAX_REDIRECTS}`,
      );
    }
    if (generations < 1 || (generations & (generations - 1)) !== 0) {
      throw new RangeError(`${generations} generations are no power of two`);
    }
    const columns = new ColumnAllocator(buffer);
    this.capacity = capacity;
    this.generations = generations;
    this.#header = columns.int32(HEADER_CELLS);
    this.#word = columns.int32(capacity);
    this.#pairs = new PairIndex(columns, capacity, (options.seed ?? 0) | 0);
    this.client = this.#pairs.client;
    this.clientPort = this.#pairs.clientPort;
    this.remote = this.#pairs.remote;
    this.remotePort = this.#pairs.remotePort;
    this.peer = this.#pairs.peer;
    this.initialSequence = columns.int32(capacity);
    this.outbound = columns.int32(capacity);
    this.target = columns.int32(capacity * 4);
    this.targetPort = columns.int32(capacity);
    this.#marks = columns.int32(capacity);
    this.#queue = columns.int32(capacity);
    this.#endedAt = columns.float64(capacity);
    this.#peerLive = columns.int32(peers);
    this.#peerDialing = columns.int32(peers);
    this.progress = new TcpProgress(columns, capacity);
  }

  /** Connections that are not over. Any thread. */
  get size(): number {
    return Atomics.load(this.#header, IN_USE);
  }

  /** Rows that are over and not yet to be used again. Any thread. */
  get resting(): number {
    return Atomics.load(this.#header, RESTING_COUNT);
  }

  /** Rows that were ever used: all others are Free. Open worker. */
  get highWater(): number {
    return this.#header[HIGH_WATER];
  }

  /** A RedirectState. Any thread. */
  stateOf(row: number): RedirectState {
    return stateIn(Atomics.load(this.#word, row));
  }

  /** The generation of a row's connection. Any thread. */
  generationOf(row: number): number {
    return generationIn(Atomics.load(this.#word, row));
  }

  /** State and generation at once, for {@linkcode stateIn} and {@linkcode generationIn}. Any thread. */
  wordOf(row: number): number {
    return Atomics.load(this.#word, row);
  }

  /**
   * Whether packets of a row's connection pass, in that generation: what was read
   * of its columns before is right. Any thread.
   */
  passes(row: number, generation: number): boolean {
    const word = Atomics.load(this.#word, row);
    return generationIn(word) === generation && isPassing(stateIn(word));
  }

  /**
   * Says what became of a dial. Relay worker.
   * @returns false where the connection has been abandoned meanwhile.
   */
  settle(
    row: number,
    generation: number,
    state: typeof RedirectState.Open | typeof RedirectState.Refused,
  ): boolean {
    // Right where the word is still that generation's: it changes after the row is taken from it.
    const peer = this.peer[row];
    const dialing = redirectWord(generation, RedirectState.Dialing);
    const settled = redirectWord(generation, state);
    if (
      Atomics.compareExchange(this.#word, row, dialing, settled) !== dialing
    ) return false;
    Atomics.sub(this.#peerDialing, peer, 1);
    return true;
  }

  /** The row of a pair and its peer. Open worker. @returns the row, or -1. */
  lookup(
    client: Int32Array,
    clientPort: number,
    remote: Int32Array,
    remotePort: number,
    peer: number,
  ): number {
    return this.#pairs.lookup(client, clientPort, remote, remotePort, peer);
  }

  /** Connections of a peer that are not over. Open worker. */
  connectionsOf(peer: number): number {
    return this.#peerLive[peer];
  }

  /** Connections of a peer that are being dialed. Any thread. */
  dialingOf(peer: number): number {
    return Atomics.load(this.#peerDialing, peer);
  }

  /** A row that has rested, or was never used; -1 where there is none. Open worker. */
  take(): number {
    const row = this.#shift(FREE);
    if (row >= 0) return row;
    const header = this.#header;
    return header[HIGH_WATER] < this.capacity ? header[HIGH_WATER]++ : -1;
  }

  /** Makes a taken row a connection that is being dialed. Open worker. @returns its generation */
  begin(
    row: number,
    client: Int32Array,
    clientPort: number,
    remote: Int32Array,
    remotePort: number,
    peer: number,
    initialSequence: number,
    now: number,
  ): number {
    this.#pairs.link(row, client, clientPort, remote, remotePort, peer);
    this.initialSequence[row] = initialSequence;
    this.route(row, 0, remote, 0, remotePort);
    this.progress.begin(row, now);
    this.#marks[row] = Mark.Linked;
    this.#peerLive[peer]++;
    Atomics.add(this.#peerDialing, peer, 1);
    Atomics.add(this.#header, IN_USE, 1);
    const last = this.generationOf(row);
    const generation = last === LAST_GENERATION ? this.generations : last + 1;
    Atomics.store(
      this.#word,
      row,
      redirectWord(generation, RedirectState.Dialing),
    );
    return generation;
  }

  /** Says where a connection that has just begun is dialed: words from index `i`. Open worker. */
  route(
    row: number,
    outbound: number,
    target: Int32Array,
    i: number,
    port: number,
  ): void {
    this.outbound[row] = outbound;
    for (let word = 0; word < 4; word++) {
      this.target[row * 4 + word] = target[i + word];
    }
    this.targetPort[row] = port;
  }

  /** Ends a connection that is over: late packets still pass while the row rests. Open worker. */
  close(row: number, now: number): void {
    this.#end(row, RedirectState.Closed);
    this.#rest(row, now);
  }

  /** Ends whatever a row holds: no packet finds it any more. Open worker. */
  forget(row: number, now: number): void {
    this.#end(row, RedirectState.Free);
    this.#unlink(row);
    this.#rest(row, now);
  }

  /** Notes that the relay is still to be told of a row's end. Open worker. */
  setOwing(row: number, owes: 0 | 1): void {
    if (owes === 1) this.#marks[row] |= Mark.Owing;
    else this.#marks[row] &= ~Mark.Owing;
  }

  /** Whether the relay is still to be told of a row's end. Open worker. */
  isOwing(row: number): boolean {
    return (this.#marks[row] & Mark.Owing) !== 0;
  }

  /** The row that rests longest, if it does so since before a time; else -1. Open worker. */
  rested(before: number): number {
    const row = this.#header[RESTING] - 1;
    return row >= 0 && this.#endedAt[row] < before ? row : -1;
  }

  /** Lets the row that rests longest be taken again. Open worker. */
  release(): void {
    const row = this.#shift(RESTING);
    Atomics.sub(this.#header, RESTING_COUNT, 1);
    this.#end(row, RedirectState.Free);
    this.#unlink(row);
    this.#marks[row] = 0;
    this.#push(FREE, row);
  }

  /** Whether a row belongs to a pair: it may be found. Open worker. */
  isLinked(row: number): boolean {
    return (this.#marks[row] & Mark.Linked) !== 0;
  }

  /** The next row of a walk round all that were ever used. Open worker. */
  nextSwept(): number {
    const header = this.#header;
    const row = header[SWEEP_AT] < header[HIGH_WATER] ? header[SWEEP_AT] : 0;
    header[SWEEP_AT] = row + 1;
    return row;
  }

  /** Sets the state and undoes what a connection that is not over counts for. */
  #end(row: number, state: RedirectState): void {
    const generation = this.generationOf(row);
    const word = Atomics.exchange(
      this.#word,
      row,
      redirectWord(generation, state),
    );
    const before = stateIn(word);
    if (before === RedirectState.Free || before === RedirectState.Closed) {
      return;
    }
    const peer = this.peer[row];
    this.#peerLive[peer]--;
    Atomics.sub(this.#header, IN_USE, 1);
    if (before === RedirectState.Dialing) {
      Atomics.sub(this.#peerDialing, peer, 1);
    }
  }

  #rest(row: number, now: number): void {
    if ((this.#marks[row] & Mark.Resting) !== 0) return;
    this.#marks[row] |= Mark.Resting;
    this.#endedAt[row] = now;
    Atomics.add(this.#header, RESTING_COUNT, 1);
    this.#push(RESTING, row);
  }

  #unlink(row: number): void {
    if ((this.#marks[row] & Mark.Linked) === 0) return;
    this.#marks[row] &= ~Mark.Linked;
    this.#pairs.unlink(row);
  }

  #push(queue: number, row: number): void {
    const header = this.#header;
    this.#queue[row] = 0;
    if (header[queue] === 0) header[queue] = row + 1;
    else this.#queue[header[queue + 1] - 1] = row + 1;
    header[queue + 1] = row + 1;
  }

  #shift(queue: number): number {
    const row = this.#header[queue] - 1;
    if (row >= 0) this.#header[queue] = this.#queue[row];
    return row;
  }
}
