/**
 * Sockets on their way from the worker that gave them up to the one that closes
 * them: a queue over a shared buffer with one writer and one reader. It has a
 * place for each NAT row, and a row is retired once before it is freed, so it
 * is never full.
 *
 *     head | tail | unused 6 | (NAT row, handle) x capacity
 */

const HEAD = 0;
const TAIL = 1;
const HEADER_CELLS = 8;

/** The queue as one thread uses it. */
export class OutsideRetired {
  readonly #cells: Int32Array;
  readonly #capacity: number;

  /** Bytes for this many NAT rows. */
  static byteLength(capacity: number): number {
    return (HEADER_CELLS + capacity * 2) * 4;
  }

  constructor(buffer: SharedArrayBuffer, capacity: number) {
    this.#cells = new Int32Array(buffer);
    this.#capacity = capacity;
  }

  /** Puts a socket in. Sending worker. */
  push(row: number, handle: number): void {
    const cells = this.#cells;
    const tail = cells[TAIL];
    const at = HEADER_CELLS + tail * 2;
    cells[at] = row;
    cells[at + 1] = handle;
    Atomics.store(cells, TAIL, this.#next(tail));
  }

  /** The NAT row of the first socket, or -1 where none waits. Receiving worker. */
  row(): number {
    const cells = this.#cells;
    const head = cells[HEAD];
    if (head === Atomics.load(cells, TAIL)) return -1;
    return cells[HEADER_CELLS + head * 2];
  }

  /** The handle of the first socket; call it only where {@linkcode row} gave one. */
  handle(): number {
    return this.#cells[HEADER_CELLS + this.#cells[HEAD] * 2 + 1];
  }

  /** Takes the first socket out. Receiving worker. */
  shift(): void {
    Atomics.store(this.#cells, HEAD, this.#next(this.#cells[HEAD]));
  }

  #next(index: number): number {
    return index + 1 === this.#capacity ? 0 : index + 1;
  }
}
