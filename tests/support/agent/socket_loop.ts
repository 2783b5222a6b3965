/**
 * Many sockets in the agent's own thread: one epoll set, asked without blocking
 * for longer than other operations may wait, between turns of the event loop.
 */
import { type Libc, openLibc } from "../../../ffi/libc.ts";
import { parseAddress } from "../../../src/core/wire/address.ts";
import { raiseOpenFileLimit } from "../../../src/io/os/linux/limits.ts";
import { openSocketEvents } from "../../../src/io/os/linux/socket_events.ts";
import { openStreamSockets } from "../../../src/io/os/linux/stream_sockets.ts";
import type { SocketEvents } from "../../../src/io/ports/socket_events.ts";
import {
  SocketError,
  type StreamSockets,
} from "../../../src/io/ports/stream_sockets.ts";

/** Longest time that the agent does not look at its standard input, in ms. */
const NAP_MS = 5;

/** Called with the bits of `SocketEvent` that happened. */
export type OnSocketEvent = (happened: number) => void;

/** Sockets and who waits for each of them. */
export class SocketLoop {
  readonly libc: Libc = openLibc();
  readonly sockets: StreamSockets = openStreamSockets(this.libc);
  /** For what is read and thrown away, or sent and known to all. */
  readonly scratch = new Uint8Array(256 << 10);
  readonly #events: SocketEvents = openSocketEvents(this.libc);
  readonly #watchers = new Map<number, OnSocketEvent>();
  #running = false;

  constructor() {
    raiseOpenFileLimit(this.libc);
  }

  /** Calls `handler` whenever one of `wants` holds; a descriptor has one handler. */
  watch(descriptor: number, wants: number, handler: OnSocketEvent): void {
    const known = this.#watchers.has(descriptor);
    const result = known
      ? this.#events.change(descriptor, wants, descriptor)
      : this.#events.add(descriptor, wants, descriptor);
    if (result !== 0) throw new Error(this.sockets.errorText(result));
    this.#watchers.set(descriptor, handler);
    if (!this.#running) void this.#run();
  }

  /** Waits no longer; before a descriptor is closed. */
  forget(descriptor: number): void {
    if (this.#watchers.delete(descriptor)) this.#events.remove(descriptor);
  }

  async #run(): Promise<void> {
    this.#running = true;
    const events = this.#events;
    for (let idle = false;;) {
      // First, so that no handler is called before `watch` has returned.
      await new Promise<void>((resolve) => setImmediate(resolve));
      if (this.#watchers.size === 0) break;
      const count = events.wait(idle ? NAP_MS : 0);
      for (let i = 0; i < count; i++) {
        this.#watchers.get(events.key(i))?.(events.happened(i));
      }
      idle = count === 0;
    }
    this.#running = false;
  }
}

let only: SocketLoop | undefined;

/** The agent's loop. */
export function socketLoop(): SocketLoop {
  return only ??= new SocketLoop();
}

/** Address words of an address of either family. */
export function wordsOf(address: string): Int32Array {
  const words = parseAddress(address);
  if (words === undefined) throw new Error(`${address} is no address`);
  return Int32Array.from(words);
}

/** An error as a word for a count: `ConnectionReset`, `error 42`. */
export function errorName(error: number): string {
  const known = Object.entries(SocketError)
    .find(([, number]) => number === Math.abs(error));
  return known?.[0] ?? `error ${Math.abs(error)}`;
}

/** Errors by name, and how often. */
export type ErrorCounts = Record<string, number>;

/** Counts an error. */
export function countError(errors: ErrorCounts, error: number): void {
  const name = errorName(error);
  errors[name] = (errors[name] ?? 0) + 1;
}
