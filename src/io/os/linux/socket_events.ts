/**
 * Waiting for many sockets with epoll, whose wait hands over what happened and
 * nothing else. Source: epoll(7), epoll_ctl(2).
 */
import type { Libc } from "../../../../ffi/libc.ts";
import {
  epollEventArm64,
  epollEventX64,
} from "../../../../ffi/linux_layouts.ts";
import { EPOLL } from "../../../../ffi/linux_socket_constants.ts";
import type { SocketEvents } from "../../ports/socket_events.ts";

/** What one wait can tell; the rest comes with the next one. */
const MOST = 256;

const layout = Deno.build.arch === "x86_64" ? epollEventX64 : epollEventArm64;
const WORDS = layout.size >> 2;
const KEY = layout.at.data >> 2;

/**
 * Opens an empty set.
 * @throws {LibcError}
 */
export function openSocketEvents(libc: Libc): SocketEvents {
  const descriptor = libc.call.epoll_create1(EPOLL.CLOEXEC);
  if (descriptor < 0) throw libc.error("epoll_create1");
  return new LinuxSocketEvents(libc, descriptor);
}

class LinuxSocketEvents implements SocketEvents {
  readonly #libc: Libc;
  readonly #descriptor: number;
  readonly #told = new Uint8Array(MOST * layout.size);
  readonly #toldWords = new Int32Array(this.#told.buffer);
  readonly #wish = new Uint8Array(layout.size);
  readonly #wishWords = new Int32Array(this.#wish.buffer);

  constructor(libc: Libc, descriptor: number) {
    this.#libc = libc;
    this.#descriptor = descriptor;
  }

  add(descriptor: number, wants: number, key: number): number {
    return this.#control(EPOLL.CTL_ADD, descriptor, wants, key);
  }

  change(descriptor: number, wants: number, key: number): number {
    return this.#control(EPOLL.CTL_MOD, descriptor, wants, key);
  }

  remove(descriptor: number): number {
    return this.#control(EPOLL.CTL_DEL, descriptor, 0, 0);
  }

  wait(timeoutMs: number): number {
    const count = this.#libc.call.epoll_wait(
      this.#descriptor,
      this.#told,
      MOST,
      timeoutMs,
    );
    // A signal (EINTR) gives -1: as good as the time being over.
    return count < 0 ? 0 : count;
  }

  key(i: number): number {
    return this.#toldWords[i * WORDS + KEY];
  }

  happened(i: number): number {
    return this.#toldWords[i * WORDS];
  }

  [Symbol.dispose](): void {
    this.#libc.call.close(this.#descriptor);
  }

  #control(
    operation: number,
    descriptor: number,
    wants: number,
    key: number,
  ): number {
    this.#wishWords[0] = wants;
    this.#wishWords[KEY] = key;
    const result = this.#libc.call.epoll_ctl(
      this.#descriptor,
      operation,
      descriptor,
      this.#wish,
    );
    return result === 0 ? 0 : -this.#libc.errno();
  }
}
