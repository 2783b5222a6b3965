/** Streams over sockets: Node's own. */
import { Socket } from "node:net";
import type { SocketStreams } from "../../ports/socket_streams.ts";

/** Needs nothing to be opened. */
export function openSocketStreams(): SocketStreams {
  return {
    open: (fd) =>
      new Socket({ fd, readable: true, writable: true, allowHalfOpen: true }),
    [Symbol.dispose]: () => {},
  };
}
