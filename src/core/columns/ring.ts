/**
 * A bounded ring of messages from one thread to one other, without locks.
 *
 * The buffer holds two positions, each written by one side through Atomics,
 * and a power of two of bytes:
 *
 * ```
 * | head: written by the producer | tail: written by the consumer |
 * record: | size i32 | kind i32 | a i32 | b i32 | length i32, 12 spare bytes | bytes |
 * ```
 *
 * Positions count bytes and wrap at 2^32, which the ring's size divides. A
 * record starts on a multiple of 16 and lies in one piece: where it would cross
 * the end, a record of kind -1 fills the rest first. Waking the consumer is the
 * caller's business.
 */
import { ColumnAllocator, type TableBuffer } from "./columns.ts";

/**
 * Takes one message. Its bytes lie in the ring and are gone when the handler
 * returns.
 */
export type RingHandler = (
  kind: number,
  a: number,
  b: number,
  bytes: Uint8Array,
  at: number,
  length: number,
) => void;

/** Kind of the record that fills the ring's end. */
const SKIP = -1;
const HEADER = 32;
const SIZE = 0;
const KIND = 1;
const A = 2;
const B = 3;
const LENGTH = 4;
/** Index of each position in its column: apart, so that the sides don't share a cache line. */
const HEAD = 0;
const TAIL = 16;

/** One end of a ring; both ends are made over the same buffer. */
export class Ring {
  readonly #capacity: number;
  readonly #positions: Int32Array;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;

  /** Bytes of buffer that a ring of `capacity` bytes needs. */
  static byteLength(capacity: number): number {
    return 2 * TAIL * 4 + capacity;
  }

  /**
   * @param buffer at least {@linkcode Ring.byteLength} bytes, zeros at first
   * @param capacity bytes for records: a power of two from 64 to 2^30
   */
  constructor(buffer: TableBuffer, capacity: number) {
    if (
      capacity < 64 || capacity > 2 ** 30 || (capacity & (capacity - 1)) !== 0
    ) {
      throw new RangeError(
        `ring capacity ${capacity} is no power of two from 64 to 2^30`,
      );
    }
    const columns = new ColumnAllocator(buffer);
    this.#capacity = capacity;
    this.#positions = columns.int32(2 * TAIL);
    this.#bytes = columns.bytes(capacity);
    this.#words = new Int32Array(buffer, this.#bytes.byteOffset, capacity / 4);
  }

  /** The longest message that fits in an empty ring wherever it stands, in bytes. */
  get maxLength(): number {
    return this.#capacity / 2 - HEADER;
  }

  /**
   * Adds a message; for the producer alone.
   * @param kind the caller's own, at least 0
   * @param length bytes to copy from `bytes` at `at`; may be 0
   * @returns false where the ring has no room for it; nothing is written then
   */
  tryWrite(
    kind: number,
    a: number,
    b: number,
    bytes: Uint8Array,
    at: number,
    length: number,
  ): boolean {
    if (length > this.maxLength) return false;
    const capacity = this.#capacity;
    const size = (HEADER + length + 15) & ~15;
    const head = Atomics.load(this.#positions, HEAD);
    const used = (head - Atomics.load(this.#positions, TAIL)) >>> 0;
    const start = head & (capacity - 1);
    const toEnd = capacity - start;
    const skipped = size > toEnd ? toEnd : 0;
    if (used + skipped + size > capacity) return false;
    const words = this.#words;
    if (skipped > 0) {
      words[(start >>> 2) + SIZE] = skipped;
      words[(start >>> 2) + KIND] = SKIP;
    }
    const record = skipped > 0 ? 0 : start;
    const header = record >>> 2;
    words[header + SIZE] = size;
    words[header + KIND] = kind;
    words[header + A] = a;
    words[header + B] = b;
    words[header + LENGTH] = length;
    const target = this.#bytes;
    const body = record + HEADER;
    for (let i = 0; i < length; i++) target[body + i] = bytes[at + i];
    Atomics.store(this.#positions, HEAD, (head + skipped + size) | 0);
    return true;
  }

  /**
   * Hands over the messages that are there now; for the consumer alone. A
   * message counts as read even where the handler throws.
   * @returns messages handed over
   */
  read(handler: RingHandler): number {
    const head = Atomics.load(this.#positions, HEAD);
    let tail = Atomics.load(this.#positions, TAIL);
    let count = 0;
    while (tail !== head) {
      const record = tail & (this.#capacity - 1);
      const header = record >>> 2;
      const words = this.#words;
      const kind = words[header + KIND];
      tail = (tail + words[header + SIZE]) | 0;
      try {
        if (kind !== SKIP) {
          count++;
          const length = words[header + LENGTH];
          handler(
            kind,
            words[header + A],
            words[header + B],
            this.#bytes,
            record + HEADER,
            length,
          );
        }
      } finally {
        Atomics.store(this.#positions, TAIL, tail);
      }
    }
    return count;
  }
}
