/**
 * What the control thread and the packet workers share about peers: columns,
 * one row a peer.
 *
 * | column | written by |
 * | --- | --- |
 * | inUse, current, previous, next | control |
 * | endpoint | any, under the row's sequence lock |
 * | events | any, Atomics |
 * | lastSentAt .. owedSince | the thread that sent or received, and control |
 * | traffic | each thread its own set ({@linkcode TrafficWriter}) |
 *
 * Events are levels, not edges: a worker that sets a flag rings the control
 * thread once; the flag stays set, and the worker silent, until the control
 * thread has no more use of it and clears it. So a busy peer costs no message
 * a packet. The times beside the flags say what happened meanwhile.
 *
 * Deferred timers (WireGuard paper, section 6) from these times:
 * - `unansweredSince`: first data sent after anything was last received; a new
 *   handshake is due 15 s later, if `lastReceivedAt` is still before it.
 * - `owedSince`: first data received after anything was last sent; a keepalive
 *   is due 10 s later, if `lastSentAt` is still before it.
 */
import { ColumnAllocator, type TableBuffer } from "../columns/columns.ts";

/** Bits of the `events` column. */
export const PeerEvent = {
  /** Data was sent. */
  DataSent: 1,
  /** Data was received. */
  DataReceived: 2,
  /** There is a packet for the peer and no session to seal it with. */
  NeedSession: 4,
  /** SessionTable.confirm was true for a session of this peer. */
  SessionConfirmed: 8,
  /** setEndpoint was true. */
  EndpointChanged: 16,
  /** A keepalive was received. */
  KeepaliveReceived: 32,
} as const;

/** One or more bits of {@linkcode PeerEvent}. */
export type PeerEvent = number;

/** The threads that count traffic, each in columns of its own. */
export const TrafficWriter = { Control: 0, OpenPump: 1, SealPump: 2 } as const;

/** One of the values of {@linkcode TrafficWriter}. */
export type TrafficWriter = typeof TrafficWriter[keyof typeof TrafficWriter];

/** Packets and bytes of one peer; bytes are of UDP payloads. */
export interface PeerTraffic {
  sentPackets: number;
  sentBytes: number;
  receivedPackets: number;
  receivedBytes: number;
}

const WRITERS = 3;
const ENDPOINT_CELLS = 5;

/** The rows of all peers. */
export class PeerTable {
  readonly capacity: number;
  /** 1 where the row holds a peer; Atomics. */
  readonly inUse: Int32Array;
  /** Bits of {@linkcode PeerEvent}; Atomics. */
  readonly events: Int32Array;
  /** Time of the newest authenticated packet sent or received, ms; 0: none. */
  readonly lastSentAt: Float64Array;
  readonly lastReceivedAt: Float64Array;
  /** See the module header, ms; 0: never. */
  readonly unansweredSince: Float64Array;
  readonly owedSince: Float64Array;
  /** End of the newest handshake, ms on the workers' clock; 0: none. */
  readonly lastHandshakeAt: Float64Array;
  readonly #current: Int32Array;
  readonly #previous: Int32Array;
  readonly #next: Int32Array;
  readonly #endpoint: Int32Array;
  readonly #endpointSequence: Int32Array;
  readonly #sentPackets: Float64Array;
  readonly #sentBytes: Float64Array;
  readonly #receivedPackets: Float64Array;
  readonly #receivedBytes: Float64Array;

  /** Bytes that a table of `capacity` peers needs. */
  static byteLength(capacity: number): number {
    return capacity * ((6 + ENDPOINT_CELLS) * 4 + (5 + 4 * WRITERS) * 8) +
      32 * 8;
  }

  /** @param buffer zeroed, or one in which another thread has made this table. */
  constructor(buffer: TableBuffer, capacity: number) {
    const columns = new ColumnAllocator(buffer);
    this.capacity = capacity;
    this.inUse = columns.int32(capacity);
    this.events = columns.int32(capacity);
    this.#current = columns.int32(capacity);
    this.#previous = columns.int32(capacity);
    this.#next = columns.int32(capacity);
    this.#endpoint = columns.int32(capacity * ENDPOINT_CELLS);
    this.#endpointSequence = columns.int32(capacity);
    this.lastSentAt = columns.float64(capacity);
    this.lastReceivedAt = columns.float64(capacity);
    this.unansweredSince = columns.float64(capacity);
    this.owedSince = columns.float64(capacity);
    this.lastHandshakeAt = columns.float64(capacity);
    this.#sentPackets = columns.float64(capacity * WRITERS);
    this.#sentBytes = columns.float64(capacity * WRITERS);
    this.#receivedPackets = columns.float64(capacity * WRITERS);
    this.#receivedBytes = columns.float64(capacity * WRITERS);
  }

  /** The session to seal with: a slot of the session table, or -1. */
  currentSession(peer: number): number {
    return Atomics.load(this.#current, peer) - 1;
  }

  /** The session before it, still good for opening, or -1. */
  previousSession(peer: number): number {
    return Atomics.load(this.#previous, peer) - 1;
  }

  /** A responder's session that waits for its first packet, or -1. */
  nextSession(peer: number): number {
    return Atomics.load(this.#next, peer) - 1;
  }

  /** Sets the three sessions (slot or -1). Control thread. */
  setSessions(
    peer: number,
    current: number,
    previous: number,
    next: number,
  ): void {
    Atomics.store(this.#next, peer, next + 1);
    Atomics.store(this.#previous, peer, previous + 1);
    Atomics.store(this.#current, peer, current + 1);
  }

  /** Empties a row and takes it into use. Control thread. */
  add(peer: number): void {
    this.#clear(peer);
    Atomics.store(this.inUse, peer, 1);
  }

  /** Takes a row out of use. Control thread. */
  remove(peer: number): void {
    Atomics.store(this.inUse, peer, 0);
    this.#clear(peer);
  }

  /**
   * Sets event flags.
   * @returns true where a flag was new: then ring the control thread once, or,
   * where its ring is full, call {@linkcode withdrawPeerEvent}.
   */
  notePeerEvent(peer: number, flags: PeerEvent): boolean {
    if ((Atomics.load(this.events, peer) & flags) === flags) return false;
    return (Atomics.or(this.events, peer, flags) & flags) !== flags;
  }

  /** Clears flags of which the control thread could not be told. */
  withdrawPeerEvent(peer: number, flags: PeerEvent): void {
    Atomics.and(this.events, peer, ~flags);
  }

  /**
   * Notes data sealed and sent to the peer; once a packet or once a batch.
   * @returns as {@linkcode notePeerEvent}.
   */
  noteDataSent(peer: number, now: number): boolean {
    if (this.unansweredSince[peer] <= this.lastReceivedAt[peer]) {
      this.unansweredSince[peer] = now;
    }
    this.lastSentAt[peer] = now;
    return this.notePeerEvent(peer, PeerEvent.DataSent);
  }

  /** Notes a keepalive sealed and sent to the peer. */
  noteKeepaliveSent(peer: number, now: number): void {
    this.lastSentAt[peer] = now;
  }

  /**
   * Notes authenticated data from the peer; once a packet or once a batch.
   * @returns as {@linkcode notePeerEvent}.
   */
  noteDataReceived(peer: number, now: number): boolean {
    if (this.owedSince[peer] <= this.lastSentAt[peer]) {
      this.owedSince[peer] = now;
    }
    this.lastReceivedAt[peer] = now;
    return this.notePeerEvent(peer, PeerEvent.DataReceived);
  }

  /**
   * Notes an authenticated keepalive from the peer.
   * @returns as {@linkcode notePeerEvent}.
   */
  noteKeepaliveReceived(peer: number, now: number): boolean {
    this.lastReceivedAt[peer] = now;
    return this.notePeerEvent(peer, PeerEvent.KeepaliveReceived);
  }

  /**
   * Where to send to: copies 4 words to `out` from `at`.
   * @returns the port, or 0 where the peer has no endpoint.
   */
  readEndpoint(peer: number, out: Int32Array, at: number): number {
    const from = peer * ENDPOINT_CELLS;
    for (;;) {
      const before = Atomics.load(this.#endpointSequence, peer);
      if ((before & 1) !== 0) continue;
      out[at] = this.#endpoint[from];
      out[at + 1] = this.#endpoint[from + 1];
      out[at + 2] = this.#endpoint[from + 2];
      out[at + 3] = this.#endpoint[from + 3];
      const port = this.#endpoint[from + 4];
      if (Atomics.load(this.#endpointSequence, peer) === before) return port;
    }
  }

  /** Changes whenever the endpoint does: to keep a socket address cached. */
  endpointVersion(peer: number): number {
    return Atomics.load(this.#endpointSequence, peer);
  }

  /**
   * Sets the endpoint: 4 words of `words` from `at`, and the port. Costs a
   * comparison where it is the same as before.
   * @returns true where it changed.
   */
  setEndpoint(
    peer: number,
    words: Int32Array | Uint32Array,
    at: number,
    port: number,
  ): boolean {
    const endpoint = this.#endpoint;
    const sequence = this.#endpointSequence;
    const to = peer * ENDPOINT_CELLS;
    if (
      endpoint[to + 4] === port && endpoint[to + 3] === (words[at + 3] | 0) &&
      endpoint[to + 2] === (words[at + 2] | 0) &&
      endpoint[to + 1] === (words[at + 1] | 0) &&
      endpoint[to] === (words[at] | 0)
    ) return false;
    for (;;) {
      const before = Atomics.load(sequence, peer);
      if ((before & 1) !== 0) continue;
      if (
        Atomics.compareExchange(sequence, peer, before, before + 1) !== before
      ) continue;
      endpoint[to] = words[at];
      endpoint[to + 1] = words[at + 1];
      endpoint[to + 2] = words[at + 2];
      endpoint[to + 3] = words[at + 3];
      endpoint[to + 4] = port;
      Atomics.store(sequence, peer, (before + 2) | 0);
      return true;
    }
  }

  /** Counts what a thread sent to the peer. */
  addSent(
    writer: TrafficWriter,
    peer: number,
    packets: number,
    bytes: number,
  ): void {
    const at = writer * this.capacity + peer;
    this.#sentPackets[at] += packets;
    this.#sentBytes[at] += bytes;
  }

  /** Counts what a thread received from the peer. */
  addReceived(
    writer: TrafficWriter,
    peer: number,
    packets: number,
    bytes: number,
  ): void {
    const at = writer * this.capacity + peer;
    this.#receivedPackets[at] += packets;
    this.#receivedBytes[at] += bytes;
  }

  /** The sum over all threads. */
  traffic(peer: number): PeerTraffic {
    const sum = {
      sentPackets: 0,
      sentBytes: 0,
      receivedPackets: 0,
      receivedBytes: 0,
    };
    for (let at = peer; at < WRITERS * this.capacity; at += this.capacity) {
      sum.sentPackets += this.#sentPackets[at];
      sum.sentBytes += this.#sentBytes[at];
      sum.receivedPackets += this.#receivedPackets[at];
      sum.receivedBytes += this.#receivedBytes[at];
    }
    return sum;
  }

  #clear(peer: number): void {
    this.setSessions(peer, -1, -1, -1);
    this.setEndpoint(peer, NO_ADDRESS, 0, 0);
    Atomics.store(this.events, peer, 0);
    this.lastSentAt[peer] = 0;
    this.lastReceivedAt[peer] = 0;
    this.unansweredSince[peer] = 0;
    this.owedSince[peer] = 0;
    this.lastHandshakeAt[peer] = 0;
    for (let at = peer; at < WRITERS * this.capacity; at += this.capacity) {
      this.#sentPackets[at] = 0;
      this.#sentBytes[at] = 0;
      this.#receivedPackets[at] = 0;
      this.#receivedBytes[at] = 0;
    }
  }
}

const NO_ADDRESS = new Int32Array(4);
