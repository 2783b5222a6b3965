/**
 * The NAT's table: one row is one mapping is one outside socket (RFC 4787, RFC
 * 5508). The key is (protocol, internal address, internal port or identifier),
 * without the remote: endpoint-independent mapping, RFC 4787 REQ-1.
 *
 *     open worker                                seal worker
 *     Free --publish()--> Open
 *                         Open --close()--> Closing
 *                                           Closing --markFree()--> Free
 *     reclaim() takes rows back from a ring that markFree() fills
 *
 * Concurrency: the open worker writes every column but `lastInboundAt` and the
 * ring's cells and tail, which the seal worker writes. A row is published by an
 * Atomics.store of its state after its columns, and only the seal worker ends
 * the state Closing: so a row that the seal worker has seen Open or Closing
 * keeps its columns until that worker itself frees it. Another thread that
 * reads (statistics) may see a torn row.
 */
import { ColumnAllocator, type TableBuffer } from "../columns/columns.ts";
import { ContactedRemotes } from "./remotes.ts";

export { OpenFailure, type OutsideSockets } from "./outside_sockets.ts";

/** The life of a row. */
export const MappingState = { Free: 0, Open: 1, Closing: 2 } as const;

/** The size of a NAT table; the same in every worker. */
export interface NatTableOptions {
  /** Rows. */
  readonly capacity: number;
  /** Peers that the peer table can hold. */
  readonly peers: number;
  /** Contacted remotes that can be remembered, a power of two >= 8. */
  readonly remotes: number;
}

// Cells of the header column.
const HIGH_WATER = 0;
const FREE_HEAD = 1; // row + 1
const RING_HEAD = 2;
const RING_TAIL = 3;
const IN_USE = 4;
const SWEEP_AT = 5;
const HEADER_CELLS = 6;

const PORTS = 65536;
const EXTERNAL_CLASSES = 4;
const INT_COLUMNS = 16;

/** Mappings, as columns over a buffer of zeros. */
export class NatTable {
  readonly capacity: number;
  /** IP protocol: 17, 1 or 58. */
  readonly protocol: Int32Array;
  /** 4 or 6. */
  readonly family: Int32Array;
  /** The client's address words, 4 a row. */
  readonly internal: Int32Array;
  /** The client's port or echo identifier. */
  readonly internalPort: Int32Array;
  /** The peer behind which the client is. */
  readonly peer: Int32Array;
  /** Our port or identifier outside. */
  readonly externalPort: Int32Array;
  /** The socket's handle, as OutsideSockets gave it. */
  readonly handle: Int32Array;
  /** Grows with each mapping in the row; never 0 in an open one. */
  readonly generation: Int32Array;
  /** When the client last sent, in ms. */
  readonly lastOutboundAt: Float64Array;
  /** When something last came in, in ms. Written by the seal worker. */
  readonly lastInboundAt: Float64Array;
  /** Whom the mappings have sent to. */
  readonly remotes: ContactedRemotes;

  readonly #header: Int32Array;
  readonly #state: Int32Array;
  readonly #bucket: Int32Array; // row + 1
  readonly #next: Int32Array; // row + 1; of the bucket's chain, or of the free list
  readonly #peerHead: Int32Array; // row + 1
  readonly #peerCount: Int32Array;
  readonly #peerNext: Int32Array;
  readonly #peerPrevious: Int32Array;
  readonly #ring: Int32Array;
  readonly #external: Int32Array; // row + 1
  readonly #bucketMask: number;

  /** Bytes that a table of this size needs. */
  static byteLength(options: NatTableOptions): number {
    const { capacity, peers } = options;
    const cells = HEADER_CELLS + capacity * INT_COLUMNS + bucketsFor(capacity) +
      peers * 2 +
      PORTS * EXTERNAL_CLASSES;
    const bytes = cells * 4 + capacity * 16 + 24 * 8;
    return bytes + ContactedRemotes.byteLength({ entries: options.remotes });
  }

  /** @param buffer zeroed, or one in which another worker has made this table. */
  constructor(buffer: TableBuffer, options: NatTableOptions) {
    const { capacity, peers } = options;
    const remotesBytes = ContactedRemotes.byteLength({
      entries: options.remotes,
    });
    const columns = new ColumnAllocator(buffer);
    const buckets = bucketsFor(capacity);
    this.capacity = capacity;
    this.remotes = new ContactedRemotes(
      buffer,
      { entries: options.remotes },
    );
    columns.bytes(remotesBytes);
    this.#bucketMask = buckets - 1;
    this.#header = columns.int32(HEADER_CELLS);
    this.#state = columns.int32(capacity);
    this.protocol = columns.int32(capacity);
    this.family = columns.int32(capacity);
    this.internal = columns.int32(capacity * 4);
    this.internalPort = columns.int32(capacity);
    this.peer = columns.int32(capacity);
    this.externalPort = columns.int32(capacity);
    this.handle = columns.int32(capacity);
    this.generation = columns.int32(capacity);
    this.lastOutboundAt = columns.float64(capacity);
    this.lastInboundAt = columns.float64(capacity);
    this.#bucket = columns.int32(buckets);
    this.#next = columns.int32(capacity);
    this.#peerHead = columns.int32(peers);
    this.#peerCount = columns.int32(peers);
    this.#peerNext = columns.int32(capacity);
    this.#peerPrevious = columns.int32(capacity);
    this.#ring = columns.int32(capacity);
    this.#external = columns.int32(PORTS * EXTERNAL_CLASSES);
  }

  /** Rows that are not free. Any thread. */
  get size(): number {
    return Atomics.load(this.#header, IN_USE);
  }

  /** Rows that were ever used: all mappings lie below. Open worker. */
  get highWater(): number {
    return this.#header[HIGH_WATER];
  }

  /** The next row of a walk round all that were ever used. Open worker. */
  nextSwept(): number {
    const header = this.#header;
    const row = header[SWEEP_AT] < header[HIGH_WATER] ? header[SWEEP_AT] : 0;
    header[SWEEP_AT] = row + 1;
    return row;
  }

  /** A MappingState. Any worker; `row` may be anything. */
  stateOf(row: number): number {
    if (row < 0 || row >= this.capacity) return MappingState.Free;
    return Atomics.load(this.#state, row);
  }

  /** The mapping of an internal endpoint. Open worker. @returns the row, or -1. */
  lookupOutbound(
    protocol: number,
    words: Int32Array,
    i: number,
    port: number,
  ): number {
    let row = this.#bucket[this.#bucketOf(protocol, words, i, port)] - 1;
    while (row >= 0) {
      const at = row * 4;
      if (
        this.internalPort[row] === port && this.protocol[row] === protocol &&
        this.internal[at + 3] === words[i + 3] &&
        this.internal[at + 2] === words[i + 2] &&
        this.internal[at + 1] === words[i + 1] && this.internal[at] === words[i]
      ) return row;
      row = this.#next[row] - 1;
    }
    return -1;
  }

  /**
   * The row that holds an external port or identifier, also while it closes.
   * Any worker. @returns the row, or -1.
   */
  lookupExternal(protocol: number, family: number, port: number): number {
    return Atomics.load(this.#external, externalCell(protocol, family, port)) -
      1;
  }

  /** Mappings of a peer. Open worker. */
  mappingsOf(peer: number): number {
    return this.#peerCount[peer];
  }

  /** A mapping of a peer, or -1. Open worker. */
  firstOf(peer: number): number {
    return this.#peerHead[peer] - 1;
  }

  /** Takes a free row. Open worker. @returns the row, or -1 where none is free. */
  take(): number {
    const header = this.#header;
    if (header[FREE_HEAD] === 0) this.reclaim();
    const row = header[FREE_HEAD] - 1;
    if (row >= 0) {
      header[FREE_HEAD] = this.#next[row];
    } else if (header[HIGH_WATER] < this.capacity) {
      Atomics.add(header, IN_USE, 1);
      return header[HIGH_WATER]++;
    } else {
      return -1;
    }
    Atomics.add(header, IN_USE, 1);
    return row;
  }

  /** Gives back a row that was taken and never published. Open worker. */
  giveBack(row: number): void {
    this.#next[row] = this.#header[FREE_HEAD];
    this.#header[FREE_HEAD] = row + 1;
    Atomics.sub(this.#header, IN_USE, 1);
  }

  /** Makes a taken row a mapping that both workers see. Open worker. */
  publish(
    row: number,
    protocol: number,
    words: Int32Array,
    i: number,
    port: number,
    peer: number,
    handle: number,
    externalPort: number,
    now: number,
  ): void {
    const family = isMapped(words, i) ? 4 : 6;
    this.protocol[row] = protocol;
    this.family[row] = family;
    for (let word = 0; word < 4; word++) {
      this.internal[row * 4 + word] = words[i + word];
    }
    this.internalPort[row] = port;
    this.peer[row] = peer;
    this.externalPort[row] = externalPort;
    this.handle[row] = handle;
    this.generation[row] = (this.generation[row] + 1) & 0x7fffffff || 1;
    this.lastOutboundAt[row] = now;
    this.lastInboundAt[row] = now;
    const bucket = this.#bucketOf(protocol, words, i, port);
    this.#next[row] = this.#bucket[bucket];
    this.#bucket[bucket] = row + 1;
    this.#linkToPeer(row, peer);
    Atomics.store(this.#state, row, MappingState.Open);
    Atomics.store(
      this.#external,
      externalCell(protocol, family, externalPort),
      row + 1,
    );
  }

  /**
   * Ends a mapping: no packet finds it any more, its external port stays taken
   * until the seal worker has closed the socket. Open worker.
   */
  close(row: number): void {
    const internal = this.internal;
    const bucket = this.#bucketOf(
      this.protocol[row],
      internal,
      row * 4,
      this.internalPort[row],
    );
    let before = this.#bucket[bucket] - 1;
    if (before === row) {
      this.#bucket[bucket] = this.#next[row];
    } else {
      while (this.#next[before] !== row + 1) before = this.#next[before] - 1;
      this.#next[before] = this.#next[row];
    }
    this.#unlinkFromPeer(row);
    Atomics.store(this.#state, row, MappingState.Closing);
  }

  /** Hands a closed row back, once its socket is closed. Seal worker. */
  markFree(row: number): void {
    if (this.stateOf(row) !== MappingState.Closing) return;
    Atomics.store(this.#state, row, MappingState.Free);
    const tail = this.#header[RING_TAIL];
    this.#ring[(tail >>> 0) % this.capacity] = row;
    Atomics.store(this.#header, RING_TAIL, nextIndex(tail, this.capacity));
  }

  /** Takes freed rows and their ports back into use. Open worker. */
  reclaim(): void {
    const header = this.#header;
    const tail = Atomics.load(header, RING_TAIL);
    while (header[RING_HEAD] !== tail) {
      const row = this.#ring[header[RING_HEAD] % this.capacity];
      header[RING_HEAD] = nextIndex(header[RING_HEAD], this.capacity);
      const cell = externalCell(
        this.protocol[row],
        this.family[row],
        this.externalPort[row],
      );
      if (this.#external[cell] === row + 1) {
        Atomics.store(this.#external, cell, 0);
      }
      this.giveBack(row);
    }
  }

  #linkToPeer(row: number, peer: number): void {
    const head = this.#peerHead[peer];
    this.#peerNext[row] = head;
    this.#peerPrevious[row] = 0;
    if (head !== 0) this.#peerPrevious[head - 1] = row + 1;
    this.#peerHead[peer] = row + 1;
    this.#peerCount[peer]++;
  }

  #unlinkFromPeer(row: number): void {
    const next = this.#peerNext[row];
    const previous = this.#peerPrevious[row];
    const peer = this.peer[row];
    if (next !== 0) this.#peerPrevious[next - 1] = previous;
    if (previous !== 0) this.#peerNext[previous - 1] = next;
    else this.#peerHead[peer] = next;
    this.#peerCount[peer]--;
  }

  #bucketOf(
    protocol: number,
    words: Int32Array,
    i: number,
    port: number,
  ): number {
    let hash = Math.imul((port << 8) ^ protocol, 0x9e3779b1);
    for (let word = 0; word < 4; word++) {
      hash = Math.imul(hash ^ words[i + word], 0x85ebca6b);
      hash ^= hash >>> 13;
    }
    return (hash ^ (hash >>> 16)) & this.#bucketMask;
  }
}

/** Ring indices run over twice the capacity, so that full differs from empty. */
function nextIndex(index: number, capacity: number): number {
  return index + 1 === capacity * 2 ? 0 : index + 1;
}

function bucketsFor(capacity: number): number {
  return 1 << (32 - Math.clz32(Math.max(1, capacity * 2 - 1)));
}

function externalCell(protocol: number, family: number, port: number): number {
  const icmp = protocol === 17 ? 0 : 2;
  return ((icmp | (family === 6 ? 1 : 0)) << 16) | (port & 0xffff);
}

function isMapped(words: Int32Array, i: number): boolean {
  return words[i] === 0 && words[i + 1] === 0 && words[i + 2] === 0xffff;
}
