/** Servers of many TCP connections: they answer and close, or echo. */
import { SocketEvent } from "../../../src/io/ports/socket_events.ts";
import { SocketError } from "../../../src/io/ports/stream_sockets.ts";
import { socketLoop, wordsOf } from "./socket_loop.ts";

const BACKLOG = 4096;

/** Connections of each server of this agent, by "address port". */
const served = new Map<string, ServedCount>();

/** What a server of a crowd has seen. */
export interface ServedCount {
  /** Open now. */
  open: number;
  /** Taken in all. */
  accepted: number;
  /** Ended by the client's RST or another error. */
  broken: number;
}

/**
 * Serves until the agent ends. A server that answers sends `answerBytes` for
 * the first bytes it gets and closes; one that echoes goes on until the client
 * finishes.
 */
export function crowdServe(
  argument: {
    readonly address: string;
    readonly port: number;
    readonly kind: "answer" | "echo";
    readonly answerBytes?: number;
  },
): void {
  const loop = socketLoop();
  const { sockets } = loop;
  const count: ServedCount = { open: 0, accepted: 0, broken: 0 };
  served.set(`${argument.address} ${argument.port}`, count);
  const answer = new Uint8Array(argument.answerBytes ?? 0).fill(97);
  const listener = sockets.listen({
    address: { words: wordsOf(argument.address), port: argument.port },
    backlog: BACKLOG,
  });
  if (listener < 0) throw new Error(sockets.errorText(listener));

  const end = (descriptor: number, broken: boolean) => {
    loop.forget(descriptor);
    sockets.close(descriptor);
    count.open--;
    if (broken) count.broken++;
  };
  const serve = (descriptor: number) => {
    const length = sockets.receive(descriptor, loop.scratch, 4096);
    if (length === -SocketError.WouldBlock) return;
    if (length <= 0) return end(descriptor, length < 0);
    if (argument.kind === "answer") {
      sockets.send(descriptor, answer, answer.length);
      return end(descriptor, false);
    }
    sockets.send(descriptor, loop.scratch, length);
  };
  loop.watch(listener, SocketEvent.Readable, () => {
    for (let n = 0; n < 256; n++) {
      const descriptor = sockets.accept(listener);
      if (descriptor < 0) return;
      count.accepted++;
      count.open++;
      loop.watch(descriptor, SocketEvent.Readable, () => serve(descriptor));
    }
  });
}

/** What the server at this place has seen. */
export function crowdServed(
  argument: { readonly address: string; readonly port: number },
): ServedCount {
  return served.get(`${argument.address} ${argument.port}`)!;
}
