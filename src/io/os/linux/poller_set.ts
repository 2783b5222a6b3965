/**
 * The events of an epoll set: how a descriptor's kind, NAT row and handle travel
 * in the 64 bits of user data, and how descriptors get in and out.
 *
 *     low 32 bits: the NAT row, or a negative PollTag | high 32: the handle
 *
 * Source: epoll_ctl(2). Adding and removing is safe from any thread.
 */
import type { Libc } from "../../../../ffi/libc.ts";
import { EPOLL, POLL } from "../../../../ffi/linux_socket_constants.ts";
import {
  epollEventArm64,
  epollEventX64,
} from "../../../../ffi/linux_layouts.ts";

/** What stands in an event's row where it is not about a NAT row. */
export const PollTag = { RawEcho: -1, Wake: -2, Tun: -3, Tunnel: -4 } as const;

const layout = Deno.build.arch === "x86_64" ? epollEventX64 : epollEventArm64;
const EVENT_WORDS = layout.size >> 2;
const ROW = layout.at.data >> 2;
const HANDLE = ROW + 1;

/** An array of epoll events. */
export class PollEvents {
  readonly capacity: number;
  /** The array as the calls take it. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly #words: Int32Array;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.bytes = new Uint8Array(capacity * layout.size);
    this.#words = new Int32Array(this.bytes.buffer);
  }

  /** What is ready: POLL bits. */
  events(i: number): number {
    return this.#words[i * EVENT_WORDS];
  }

  /** The NAT row, or a {@linkcode PollTag}. */
  row(i: number): number {
    return this.#words[i * EVENT_WORDS + ROW];
  }

  /** The handle that goes with a NAT row or PollTag.RawEcho. */
  handle(i: number): number {
    return this.#words[i * EVENT_WORDS + HANDLE];
  }

  /** Makes event `i` a wish to hear of input. */
  set(i: number, row: number, handle: number): void {
    this.#words[i * EVENT_WORDS] = POLL.IN;
    this.#words[i * EVENT_WORDS + ROW] = row;
    this.#words[i * EVENT_WORDS + HANDLE] = handle;
  }
}

/** A poll set as those see it who only add and remove descriptors. */
export class PollSet {
  readonly #libc: Libc;
  readonly #descriptor: number;
  readonly #event = new PollEvents(1);

  constructor(libc: Libc, descriptor: number) {
    this.#libc = libc;
    this.#descriptor = descriptor;
  }

  /** Adds a descriptor. @returns whether it worked; errno tells why not. */
  add(descriptor: number, row: number, handle: number): boolean {
    this.#event.set(0, row, handle);
    return this.#control(EPOLL.CTL_ADD, descriptor);
  }

  /** Takes a descriptor out, which closing alone does not do while a fork has it. */
  remove(descriptor: number): boolean {
    return this.#control(EPOLL.CTL_DEL, descriptor);
  }

  #control(operation: number, descriptor: number): boolean {
    return this.#libc.call.epoll_ctl(
      this.#descriptor,
      operation,
      descriptor,
      this.#event.bytes,
    ) === 0;
  }
}
