/**
 * Where the outside's sockets leave: an interface for each family, and a mark
 * for the host's routing policy. Cells that one thread changes at run time and
 * all others read when they open a socket.
 *
 *     interface IPv4 | interface IPv6 | mark
 */
import { SO, SOL } from "../../../../ffi/linux_socket_constants.ts";
import type { SocketOptions } from "./socket_option.ts";

const MARK = 2;

/** The cells. */
export class OutsideBinding {
  /** Bytes of them. */
  static readonly byteLength = 12;

  readonly #cells: Int32Array;

  constructor(buffer: SharedArrayBuffer) {
    this.#cells = new Int32Array(buffer);
  }

  /** Sets the mark; 0 is none. */
  setMark(mark: number): void {
    Atomics.store(this.#cells, MARK, mark);
  }

  /** Sets the interface of a family; 0 leaves it to the routes. */
  setInterface(family: 4 | 6, index: number): void {
    Atomics.store(this.#cells, cellOf(family), index);
  }

  /** Makes a socket leave as it should. @returns whether it worked; errno tells why not. */
  apply(
    options: SocketOptions,
    descriptor: number,
    family: 4 | 6,
  ): boolean {
    const mark = Atomics.load(this.#cells, MARK);
    if (mark !== 0 && !options.set(descriptor, SOL.SOCKET, SO.MARK, mark)) {
      return false;
    }
    const index = Atomics.load(this.#cells, cellOf(family));
    return index === 0 || bind(options, descriptor, index);
  }

  /** The same for a socket that may be bound to another interface already. */
  change(
    options: SocketOptions,
    descriptor: number,
    family: 4 | 6,
  ): boolean {
    return bind(options, descriptor, Atomics.load(this.#cells, cellOf(family)));
  }
}

function cellOf(family: 4 | 6): number {
  return family === 4 ? 0 : 1;
}

function bind(
  options: SocketOptions,
  descriptor: number,
  index: number,
): boolean {
  return options.set(descriptor, SOL.SOCKET, SO.BINDTOIFINDEX, index);
}
