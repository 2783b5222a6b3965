/**
 * The fragmentation mode that each outside socket was last given, so that it is
 * set only where it differs. A direct-mapped cache over a shared buffer, for the
 * sending threads, of which one at a time is at work; sockets that meet in one
 * cell cost each other a system call, nothing else.
 *
 *     cell   descriptor * 4 + mode + 1; 0 is empty
 */

const MODE_BITS = 2;

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

  /** Notes the mode (an IP_PMTUDISC). @returns whether the socket may have another. */
  change(descriptor: number, mode: number): boolean {
    const cell = (descriptor << MODE_BITS) + mode + 1;
    const at = descriptor & this.#mask;
    if (this.#cells[at] === cell) return false;
    this.#cells[at] = cell;
    return true;
  }

  /** A descriptor was opened anew: what is known is of another socket. */
  forget(descriptor: number): void {
    this.#cells[descriptor & this.#mask] = 0;
  }
}
