/**
 * Waking a blocked worker: an eventfd in its poll set. Source: eventfd(2).
 */
import type { Libc } from "../../../../ffi/libc.ts";
import { EFD } from "../../../../ffi/linux_socket_constants.ts";
import type { Wake } from "../../ports.ts";

const COUNTER_SIZE = 8;

/**
 * Makes a wake; its descriptor can be posted to other threads of the process.
 * Disposing of it closes the descriptor.
 * @throws {LibcError}
 */
export function openWake(libc: Libc): Wake {
  const descriptor = libc.call.eventfd(0, EFD.NONBLOCK | EFD.CLOEXEC);
  if (descriptor < 0) throw libc.error("eventfd");
  return new LinuxWake(libc, { descriptor, ends: "close" });
}

/** Uses a wake that another thread has opened; disposing of it changes nothing. */
export function attachWake(libc: Libc, descriptor: number): Wake {
  return new LinuxWake(libc, { descriptor, ends: "stay-open" });
}

class LinuxWake implements Wake {
  readonly descriptor: number;
  readonly #libc: Libc;
  readonly #ends: "close" | "stay-open";
  readonly #one = new Uint8Array(new BigUint64Array([1n]).buffer);
  readonly #counter = new Uint8Array(COUNTER_SIZE);

  constructor(
    libc: Libc,
    options: { descriptor: number; ends: "close" | "stay-open" },
  ) {
    this.#libc = libc;
    this.descriptor = options.descriptor;
    this.#ends = options.ends;
  }

  signal(): void {
    // A full counter (EAGAIN) is a signal that was not yet seen: nothing is lost.
    this.#libc.call.write(this.descriptor, this.#one, COUNTER_SIZE);
  }

  drain(): void {
    this.#libc.call.read(this.descriptor, this.#counter, COUNTER_SIZE);
  }

  [Symbol.dispose](): void {
    if (this.#ends === "close") this.#libc.call.close(this.descriptor);
  }
}
