/** Streams over sockets, for a thread that has an event loop. */
import type { Duplex } from "node:stream";

/**
 * A connected socket as a stream whose directions end one by one. Destroying it
 * closes the socket; so does the end of both directions.
 */
export interface SocketStream extends Duplex {
  /** Closes the connection with a RST. */
  resetAndDestroy(): unknown;
}

/** Opens streams for the calling thread. */
export interface SocketStreams extends Disposable {
  /** A stream over a socket that any thread has connected; it owns it from then on. */
  open(descriptor: number): SocketStream;
}
