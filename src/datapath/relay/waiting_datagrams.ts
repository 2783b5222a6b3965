/**
 * Datagrams that wait for an association, copied: few for each session, and
 * bounded in bytes over all of them.
 */

/** A datagram that waits. */
export interface WaitingDatagram {
  readonly payload: Uint8Array;
  /** Address words of the remote. */
  readonly words: Int32Array;
  readonly port: number;
}

/** Limits of {@linkcode WaitingDatagrams}. */
export interface WaitingLimits {
  readonly perSession: number;
  /** Bytes of payload in all. */
  readonly bytes: number;
}

const NONE: readonly WaitingDatagram[] = [];

/** Queues by session row. */
export class WaitingDatagrams {
  readonly #limits: WaitingLimits;
  readonly #queues = new Map<number, WaitingDatagram[]>();
  #bytes = 0;

  constructor(limits: WaitingLimits) {
    this.#limits = limits;
  }

  /** Bytes that wait in all. */
  get byteLength(): number {
    return this.#bytes;
  }

  /** @returns false where there is no room: it is not queued then. */
  add(
    row: number,
    bytes: Uint8Array,
    at: number,
    length: number,
    words: Int32Array,
    port: number,
  ): boolean {
    const queue = this.#queues.get(row) ?? [];
    if (queue.length >= this.#limits.perSession) return false;
    if (this.#bytes + length > this.#limits.bytes) return false;
    queue.push({
      payload: bytes.slice(at, at + length),
      words: words.slice(0, 4),
      port,
    });
    this.#bytes += length;
    this.#queues.set(row, queue);
    return true;
  }

  /** Takes all that wait for a session, in the order in which they came. */
  take(row: number): readonly WaitingDatagram[] {
    const queue = this.#queues.get(row);
    if (queue === undefined) return NONE;
    this.#queues.delete(row);
    for (const { payload } of queue) this.#bytes -= payload.length;
    return queue;
  }
}
