/**
 * A pump's poll set as those see it who only add and remove sockets. A socket's
 * key is its NAT row or a negative PollTag, its tag the handle. Safe from any
 * thread.
 */
import { AFD_POLL } from "../../../../ffi/windows/ntdll.ts";
import type { AfdPoll } from "./afd_poll.ts";

/** What stands in the place of a NAT row where a socket has none. */
export const PollTag = { RawEcho: -1, Wake: -2, Tun: -3, Tunnel: -4 } as const;

/** Which raw socket of the outside it is: the handle that goes with PollTag.RawEcho. */
export const RawSocket = { Echo: -1, Errors: -2 } as const;

/** See the file header. */
export class PollSet {
  readonly #poll: AfdPoll;

  constructor(poll: AfdPoll) {
    this.#poll = poll;
  }

  /** Whether a socket is in it. */
  has(socket: number): boolean {
    return this.#poll.find(socket) >= 0;
  }

  /** Adds a socket, to hear of input. @returns whether it worked. */
  add(socket: number, row: number, handle: number): boolean {
    return !this.has(socket) &&
      this.#poll.add(socket, AFD_POLL.RECEIVE, row, handle) >= 0;
  }

  /** Takes a socket out, before it is closed. */
  remove(socket: number): boolean {
    return this.#poll.remove(socket);
  }
}
