/**
 * NAT rows by the external port of their UDP socket, so that an ICMP error that
 * quotes a datagram finds its mapping. The sending worker writes, the receiving
 * one reads.
 *
 *     cell   family, port -> row + 1; 0 none
 */

const PORTS = 65_536;

/** The table as one thread uses it. */
export class OutsideRows {
  /** Bytes of it. */
  static readonly byteLength: number = 2 * PORTS * 4;

  readonly #cells: Int32Array;

  constructor(buffer: SharedArrayBuffer) {
    this.#cells = new Int32Array(buffer);
  }

  /** Notes that a port is a row's. */
  set(family: 4 | 6, port: number, row: number): void {
    Atomics.store(this.#cells, cellOf(family, port), row + 1);
  }

  /** Forgets a row's port, unless it is another row's by now. */
  clear(family: 4 | 6, port: number, row: number): void {
    Atomics.compareExchange(this.#cells, cellOf(family, port), row + 1, 0);
  }

  /** The row that has a port, or -1. */
  row(family: 4 | 6, port: number): number {
    return Atomics.load(this.#cells, cellOf(family, port)) - 1;
  }
}

function cellOf(family: 4 | 6, port: number): number {
  return family === 4 ? port : PORTS + port;
}
