/**
 * How far the connections of a redirect table have come, seen from the middle:
 * whether the client has answered the handshake, whose FIN has passed, what each
 * side has acknowledged (RFC 9293; all sequence numbers modulo 2^32), and when
 * something last passed.
 *
 *     over     both FINs acknowledged, or a RST from the host that nothing followed
 *     closing  both FINs have passed (RFC 5382 section 2: the closing phase)
 *
 * Concurrency: the open worker writes the client's columns, the seal worker the
 * host's, each without looking at the other's. What the host's say counts only
 * under the generation that they were written for: so a late packet of an
 * earlier connection in a row says nothing about the next.
 */
import type { ColumnAllocator } from "../columns/columns.ts";
import * as tcp from "../wire/tcp.ts";

/** Bits of what was seen of a side. */
const Seen = { Answered: 1, Fin: 2, Reset: 4 } as const;
const SEEN_MASK = 7;
const GENERATION_SHIFT = 3;

/** A client's RST counts where it lies this close behind what the host expects next. */
const RESET_WINDOW = 2 ** 24;
/** How long nothing must follow a RST from the host: the kernel refuses strays by RST, too. */
const RESET_SETTLES_MS = 1000;

/** Columns of progress, one row per redirect. */
export class TcpProgress {
  /** When the client last sent, in ms. Open worker. */
  readonly clientAt: Float64Array;
  /** When the host last sent, in ms; not cleared for a new connection. Seal worker. */
  readonly hostAt: Float64Array;
  readonly #client: Int32Array;
  readonly #clientFinEnd: Int32Array;
  readonly #clientAck: Int32Array;
  /** generation << 3 | Seen, by Atomics. */
  readonly #host: Int32Array;
  readonly #hostFinEnd: Int32Array;
  readonly #hostAck: Int32Array;

  /** Bytes for that many rows. */
  static byteLength(capacity: number): number {
    return capacity * (6 * 4 + 2 * 8) + 8 * 8;
  }

  constructor(columns: ColumnAllocator, capacity: number) {
    this.clientAt = columns.float64(capacity);
    this.hostAt = columns.float64(capacity);
    this.#client = columns.int32(capacity);
    this.#clientFinEnd = columns.int32(capacity);
    this.#clientAck = columns.int32(capacity);
    this.#host = columns.int32(capacity);
    this.#hostFinEnd = columns.int32(capacity);
    this.#hostAck = columns.int32(capacity);
  }

  /** Forgets what a row's earlier connection has done. Open worker. */
  begin(row: number, now: number): void {
    this.#client[row] = 0;
    this.clientAt[row] = now;
  }

  /**
   * Notes a segment from the client, no RST. Open worker.
   * @param length bytes from the TCP header at `at` to the packet's end
   */
  noteClient(
    row: number,
    b: Uint8Array,
    at: number,
    length: number,
    now: number,
  ): void {
    this.clientAt[row] = now;
    const flags = tcp.flags(b, at);
    let seen = this.#client[row];
    if ((flags & tcp.Flag.Ack) !== 0) {
      const ack = tcp.acknowledgment(b, at) | 0;
      const isFirst = (seen & Seen.Answered) === 0;
      if (isFirst || ((ack - this.#clientAck[row]) | 0) > 0) {
        this.#clientAck[row] = ack;
      }
      seen |= Seen.Answered;
    }
    if ((flags & tcp.Flag.Fin) !== 0) {
      this.#clientFinEnd[row] = endOf(b, at, length);
      seen |= Seen.Fin;
    } else if (
      (seen & Seen.Fin) !== 0 &&
      ((endOf(b, at, length) - this.#clientFinEnd[row]) | 0) > 0
    ) {
      // What is sent behind a FIN shows that it was not this connection's.
      seen &= ~Seen.Fin;
    }
    this.#client[row] = seen;
  }

  /**
   * Notes a segment from the host. Seal worker.
   * @param length bytes from the TCP header at `at` to the packet's end
   */
  noteHost(
    row: number,
    generation: number,
    b: Uint8Array,
    at: number,
    length: number,
    now: number,
  ): void {
    this.hostAt[row] = now;
    const flags = tcp.flags(b, at);
    const before = this.#host[row];
    let seen = before >>> GENERATION_SHIFT === generation
      ? before & SEEN_MASK
      : 0;
    if ((flags & tcp.Flag.Ack) !== 0) {
      this.#hostAck[row] = tcp.acknowledgment(b, at) | 0;
      seen |= Seen.Answered;
    }
    if ((flags & tcp.Flag.Fin) !== 0) {
      this.#hostFinEnd[row] = endOf(b, at, length);
      seen |= Seen.Fin;
    }
    if ((flags & tcp.Flag.Rst) !== 0) seen |= Seen.Reset;
    else seen &= ~Seen.Reset;
    const after = (generation << GENERATION_SHIFT) | seen;
    if (after !== before) Atomics.store(this.#host, row, after);
  }

  /**
   * Whether a RST from the client at a sequence number may be one that the host
   * obeys (RFC 5961 section 3), not one of an earlier connection. Open worker.
   * @param initial the sequence number of the client's SYN
   */
  resets(
    row: number,
    generation: number,
    sequence: number,
    initial: number,
  ): boolean {
    const isAnswered = (this.#hostSeen(row, generation) & Seen.Answered) !== 0;
    const next = isAnswered ? this.#hostAck[row] : initial + 1;
    return ((sequence - next) >>> 0) < RESET_WINDOW;
  }

  /** Whether the connection is over on both sides. Open worker. */
  isOver(row: number, generation: number, now: number): boolean {
    const host = this.#hostSeen(row, generation);
    if ((host & Seen.Reset) !== 0) {
      return now - this.hostAt[row] >= RESET_SETTLES_MS;
    }
    return (this.#client[row] & host & Seen.Fin) !== 0 &&
      ((this.#hostAck[row] - this.#clientFinEnd[row]) | 0) >= 0 &&
      ((this.#clientAck[row] - this.#hostFinEnd[row]) | 0) >= 0;
  }

  /** What the client expects next; 0 where it has answered nothing yet. Open worker. */
  nextForClient(row: number): number {
    return (this.#client[row] & Seen.Answered) === 0 ? 0 : this.#clientAck[row];
  }

  /** Whether the client has answered the handshake. Open worker. */
  hasAnswered(row: number): boolean {
    return (this.#client[row] & Seen.Answered) !== 0;
  }

  /** Whether the client has sent its FIN: what it sends may be the last. Open worker. */
  hasClientFin(row: number): boolean {
    return (this.#client[row] & Seen.Fin) !== 0;
  }

  /** Whether it is past the handshake and not closing (RFC 5382 REQ-5). Open worker. */
  isEstablished(row: number, generation: number): boolean {
    const host = this.#hostSeen(row, generation);
    const client = this.#client[row];
    return (client & host & Seen.Answered) !== 0 &&
      (client & host & Seen.Fin) === 0;
  }

  /** How long nothing has passed, in ms. Open worker. */
  idle(row: number, generation: number, now: number): number {
    const client = now - this.clientAt[row];
    return this.#hostSeen(row, generation) === 0
      ? client
      : Math.min(client, now - this.hostAt[row]);
  }

  #hostSeen(row: number, generation: number): number {
    const word = Atomics.load(this.#host, row);
    return word >>> GENERATION_SHIFT === generation ? word & SEEN_MASK : 0;
  }
}

/** The sequence number behind all that a segment occupies. */
function endOf(b: Uint8Array, at: number, length: number): number {
  const flags = tcp.flags(b, at);
  const controls = ((flags & tcp.Flag.Syn) >>> 1) + (flags & tcp.Flag.Fin);
  const data = length - tcp.headerLength(b, at);
  return (tcp.sequence(b, at) + data + controls) | 0;
}
