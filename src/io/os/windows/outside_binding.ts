/**
 * Where the outside's sockets leave: an interface for each family. Cells that
 * one thread changes at run time and all others read when they open a socket.
 *
 *     interface IPv4 | interface IPv6
 */
import { bindToInterface } from "./socket_interface.ts";
import type { WinsockOptions } from "./winsock_options.ts";

/** The cells. */
export class OutsideBinding {
  /** Bytes of them. */
  static readonly byteLength = 8;

  readonly #cells: Int32Array;

  constructor(buffer: SharedArrayBuffer) {
    this.#cells = new Int32Array(buffer);
  }

  /** Sets the interface of a family; 0 leaves it to the routes. */
  setInterface(family: 4 | 6, index: number): void {
    Atomics.store(this.#cells, cellOf(family), index);
  }

  /** Makes a new socket leave as it should. @returns whether it worked. */
  apply(options: WinsockOptions, socket: number, family: 4 | 6): boolean {
    const index = Atomics.load(this.#cells, cellOf(family));
    return index === 0 || bindToInterface(options, socket, family, index);
  }

  /** The same for a socket that may be bound to another interface already. */
  change(options: WinsockOptions, socket: number, family: 4 | 6): boolean {
    const index = Atomics.load(this.#cells, cellOf(family));
    return bindToInterface(options, socket, family, index);
  }
}

function cellOf(family: 4 | 6): number {
  return family === 4 ? 0 : 1;
}
