/**
 * How a worker's memory is divided. The arena is the memory of its WASM
 * kernels, of fixed size; what is never touched costs nothing.
 *
 *     | kernels' own | area of reader 1 | area of reader 2 | ... | spare rows |
 */
import type { Area } from "../io/ports.ts";

/** An area for a worker that has no use of it. */
export const EMPTY_AREA: Area = { start: 0, end: 0 };

/** Hands out areas of an arena, one after the other, aligned to a page. */
export class ArenaPlan {
  #at: number;
  readonly #end: number;

  /** @param firstFree the first byte that the kernels leave free. */
  constructor(firstFree: number, end: number) {
    this.#at = align(firstFree);
    this.#end = end;
  }

  /**
   * Takes the next `byteLength` bytes.
   * @throws {RangeError} where the arena is too small: a mistake of the caller.
   */
  take(byteLength: number): Area {
    const start = this.#at;
    const end = start + byteLength;
    if (end > this.#end) {
      throw new RangeError(
        `arena of ${this.#end} bytes has no room for ${byteLength} at ${start}`,
      );
    }
    this.#at = align(end);
    return { start, end };
  }
}

function align(at: number): number {
  return (at + 4095) & ~4095;
}
