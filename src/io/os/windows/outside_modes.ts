/**
 * The hop limit and fragmentation mode that each outside socket was last given,
 * so that they are set only where they differ. A direct-mapped cache over a
 * shared buffer, for the sending threads, of which one at a time is at work;
 * sockets that meet in one cell cost each other two system calls, nothing else.
 *
 *     cell   socket number << 9 | hop limit << 1 | don't fragment, plus 1; 0 empty
 */

const MODE_BITS = 9;

/** A socket's number among sockets: handles are multiples of 4. */
export function numberOf(socket: number): number {
  return socket >>> 2;
}

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

  /** Notes the mode. @returns whether the socket may have another. */
  change(socket: number, mode: number): boolean {
    const number = numberOf(socket);
    const cell = ((number << MODE_BITS) + mode + 1) | 0;
    const at = number & this.#mask;
    if (this.#cells[at] === cell) return false;
    this.#cells[at] = cell;
    return true;
  }

  /** A socket was opened anew: what is known is of another one. */
  forget(socket: number): void {
    this.#cells[numberOf(socket) & this.#mask] = 0;
  }
}
