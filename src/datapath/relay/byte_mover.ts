/**
 * Moves bytes from one side of a connection to the other, and holds none: what
 * is read stays in its socket (MSG_PEEK) until the other side has taken it. So
 * back-pressure is the system's own, and a slow reader costs the relay nothing.
 *
 * A finish is passed on as a finish, after all that came before it. Sockets are
 * watched edge-triggered: a side counts as readable or writable until a call
 * says that it is not.
 */
import {
  SocketError,
  type StreamSockets,
} from "../../io/ports/stream_sockets.ts";
import { type ConnectionTable, SideFlag } from "./connection_table.ts";

/** How a turn ended. */
export const Moved = {
  /** Nothing more can be moved until a socket tells something new. */
  Waiting: 0,
  /** The turn's bytes are used up; there may be more. */
  More: 1,
  /** Both directions have come to their end. */
  Finished: 2,
  /** A side failed: the connection is to be reset. */
  Failed: 3,
} as const;

/** One of the values of {@linkcode Moved}. */
export type Moved = typeof Moved[keyof typeof Moved];

/** Bytes of one read: the memory of all connections together. */
const BUFFER_BYTES = 512 << 10;

/** Moves bytes between the sides of connections. */
export class ByteMover {
  /** Bytes that the last {@linkcode move} moved. */
  moved = 0;
  readonly #sockets: StreamSockets;
  readonly #table: ConnectionTable;
  readonly #turnBytes: number;
  readonly #buffer = new Uint8Array(BUFFER_BYTES);

  /** @param turnBytes after how many bytes others have their turn */
  constructor(
    sockets: StreamSockets,
    table: ConnectionTable,
    turnBytes: number,
  ) {
    this.#sockets = sockets;
    this.#table = table;
    this.#turnBytes = turnBytes;
  }

  /** Moves what one side has to the other one, for one turn. */
  move(side: number): Moved {
    const sockets = this.#sockets;
    const { descriptor, flags } = this.#table;
    const other = side ^ 1;
    const from = descriptor[side];
    const to = descriptor[other];
    const buffer = this.#buffer;
    this.moved = 0;
    if ((flags[side] & SideFlag.Finished) !== 0) return Moved.Waiting;
    while (
      (flags[side] & SideFlag.Readable) !== 0 &&
      (flags[other] & SideFlag.Writable) !== 0
    ) {
      if (this.moved >= this.#turnBytes) return Moved.More;
      const there = sockets.peek(from, buffer, BUFFER_BYTES);
      if (there > 0) {
        const sent = sockets.send(to, buffer, there);
        if (sent > 0) {
          if (sockets.discard(from, buffer, sent) !== sent) return Moved.Failed;
          this.moved += sent;
        } else if (!isTransient(sent)) return Moved.Failed;
        if (sent < there) flags[other] &= ~SideFlag.Writable;
        else if (there < BUFFER_BYTES && (flags[side] & READ_ON) === 0) {
          flags[side] &= ~SideFlag.Readable;
        }
      } else if (there === 0) {
        flags[side] &= ~SideFlag.Readable;
        flags[side] |= SideFlag.Finished;
        sockets.shutdownWrite(to);
        return (flags[other] & SideFlag.Finished) === 0
          ? Moved.Waiting
          : Moved.Finished;
      } else if (isTransient(there)) flags[side] &= ~SideFlag.Readable;
      else return Moved.Failed;
    }
    return Moved.Waiting;
  }
}

/** Where one of these is set, a short read does not mean that nothing is left. */
const READ_ON = SideFlag.Finishing | SideFlag.Urgent | SideFlag.Failed;

function isTransient(error: number): boolean {
  return error === -SocketError.WouldBlock ||
    error === -SocketError.Interrupted;
}
