/**
 * How many descriptors flows may take. The last ones under the process's limit
 * stay free for what must not fail: the runtime itself, control sockets, the
 * look-up of programs, dials that go on.
 *
 *     0 ...... taken by anybody ...... ceiling ... the reserve ... limit
 *
 * The system gives the lowest number that is free, so a number at the ceiling
 * says that all below it are taken, by whichever thread: nobody has to count.
 */
import type { Libc } from "../../../../ffi/libc.ts";
import { ERRNO } from "../../../../ffi/linux_socket_constants.ts";
import { openFileLimit } from "./limits.ts";

const LEAST = 64;
const MOST = 256;
const SHARE = 8;

/** Descriptors that flows leave free under a limit of open files. */
export function descriptorReserve(limit: number): number {
  return Math.min(MOST, Math.max(LEAST, Math.floor(limit / SHARE)));
}

/** Lets descriptors be taken as long as more than the reserve is free. */
export class DescriptorRoom {
  readonly #libc: Libc;
  readonly #ceiling: number;

  /** @throws {LibcError} where the limit of open files cannot be read. */
  constructor(libc: Libc) {
    const limit = openFileLimit(libc);
    this.#libc = libc;
    this.#ceiling = limit - descriptorReserve(limit);
  }

  /**
   * Takes the result of a call that opens: what lies in the reserve is closed.
   * @param descriptor or a negative error, which stays
   * @returns the descriptor, or a negative error
   */
  admit(descriptor: number): number {
    if (descriptor < this.#ceiling) return descriptor;
    this.#libc.call.close(descriptor);
    return -ERRNO.EMFILE;
  }
}
