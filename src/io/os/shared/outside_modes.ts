/**
 * The mode (a system's number for fragmentation and the like) that each outside
 * socket was last given, so that it is set only where it differs. A
 * direct-mapped cache over a shared buffer, for the sending threads, of which
 * one at a time is at work; sockets that meet in one cell cost each other a few
 * system calls, nothing else.
 *
 *     cell   socket number << 9 | mode, plus 1; 0 is empty
 */

const MODE_BITS = 9;

/** The cache as one thread uses it. */
export class OutsideModes {
  readonly #cells: Int32Array;
  readonly #mask: number;

  /** Bytes for this many sockets. */
  static byteLength(sockets: number): number {
    return 4 << (32 - Math.clz32(Math.max(1, sockets - 1)));
  }

  constructor(buffer: SharedArrayBuffer) {
    this.#cells = new Int32Array(buffer);
    this.#mask = this.#cells.length - 1;
  }

  /**
   * Notes a socket's mode.
   * @param number the socket's number among sockets
   * @param mode below 512
   * @returns whether the socket may have another.
   */
  change(number: number, mode: number): boolean {
    const cell = ((number << MODE_BITS) + mode + 1) | 0;
    const at = number & this.#mask;
    if (this.#cells[at] === cell) return false;
    this.#cells[at] = cell;
    return true;
  }

  /** A socket was opened anew: what is known is of another one. */
  forget(number: number): void {
    this.#cells[number & this.#mask] = 0;
  }
}
