/**
 * Tables as columns over one buffer.
 *
 * A table is a set of typed arrays of equal row count that lie one after the
 * other in a single buffer: an ArrayBuffer in tests, a SharedArrayBuffer in the
 * product, so that workers see the same rows. Each column has one writer, or is
 * touched through Atomics.
 */

/** A buffer that a table can live in. */
export type TableBuffer = ArrayBuffer | SharedArrayBuffer;

/** Allocates a buffer that workers can share, filled with zeros. */
export function sharedBuffer(byteLength: number): SharedArrayBuffer {
  return new SharedArrayBuffer(byteLength);
}

/**
 * Hands out typed arrays from a buffer in order, each aligned to 8 bytes.
 *
 * With `undefined` as the buffer it only measures: run the same sequence of
 * calls twice, first to learn `byteLength`, then over a buffer of that size.
 */
export class ColumnAllocator {
  #at = 0;
  readonly #buffer: TableBuffer;

  constructor(buffer: TableBuffer) {
    this.#buffer = buffer;
  }

  /** Bytes handed out so far. */
  get byteLength(): number {
    return this.#at;
  }

  /** A column of signed 32-bit integers, usable with Atomics. */
  int32(length: number): Int32Array {
    return new Int32Array(this.#buffer, this.#take(length * 4), length);
  }

  /** A column of 64-bit floats: times in milliseconds, byte and packet counts. */
  float64(length: number): Float64Array {
    return new Float64Array(this.#buffer, this.#take(length * 8), length);
  }

  /** A column of bytes. */
  bytes(length: number): Uint8Array {
    return new Uint8Array(this.#buffer, this.#take(length), length);
  }

  /** A column of unsigned 16-bit integers. */
  uint16(length: number): Uint16Array {
    return new Uint16Array(this.#buffer, this.#take(length * 2), length);
  }

  #take(byteLength: number): number {
    const at = this.#at;
    if (at + byteLength > this.#buffer.byteLength) {
      throw new RangeError(
        `table needs ${
          at + byteLength
        } bytes, its buffer has ${this.#buffer.byteLength}`,
      );
    }
    this.#at = (at + byteLength + 7) & ~7;
    return at;
  }
}
