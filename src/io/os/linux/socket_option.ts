/**
 * Socket options whose value is an int, and the sizes of socket buffers.
 */
import type { Libc } from "../../../../ffi/libc.ts";
import { SO, SOL } from "../../../../ffi/linux_socket_constants.ts";

const INT_SIZE = 4;

/** Sets and reads int options; keeps the scratch memory that the calls need. */
export class SocketOptions {
  readonly #libc: Libc;
  readonly #value = new Int32Array(1);
  readonly #bytes = new Uint8Array(this.#value.buffer);
  readonly #length = new Uint32Array(1);
  readonly #lengthBytes = new Uint8Array(this.#length.buffer);

  constructor(libc: Libc) {
    this.#libc = libc;
  }

  /** Sets an option. @returns whether the system accepted it; errno tells why not. */
  set(
    descriptor: number,
    level: number,
    name: number,
    value: number,
  ): boolean {
    this.#value[0] = value;
    return this.#libc.call.setsockopt(
      descriptor,
      level,
      name,
      this.#bytes,
      INT_SIZE,
    ) === 0;
  }

  /** Reads an option; -1 where the system has none of this name. */
  get(descriptor: number, level: number, name: number): number {
    this.#value[0] = 0;
    this.#length[0] = INT_SIZE;
    const result = this.#libc.call.getsockopt(
      descriptor,
      level,
      name,
      this.#bytes,
      this.#lengthBytes,
    );
    return result === 0 ? this.#value[0] : -1;
  }

  /**
   * Asks for a receive or send buffer of this size: beyond the system's limit
   * with the right to do so (CAP_NET_ADMIN), up to it without.
   */
  setBuffer(
    descriptor: number,
    direction: "receive" | "send",
    byteLength: number,
  ): void {
    const [force, ask] = direction === "receive"
      ? [SO.RCVBUFFORCE, SO.RCVBUF]
      : [SO.SNDBUFFORCE, SO.SNDBUF];
    if (!this.set(descriptor, SOL.SOCKET, force, byteLength)) {
      this.set(descriptor, SOL.SOCKET, ask, byteLength);
    }
  }
}
