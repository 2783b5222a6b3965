/** TCP connections that stay: thousands at once, all used, all closed. */
import { SocketEvent } from "../../../src/io/ports/socket_events.ts";
import { SocketError } from "../../../src/io/ports/stream_sockets.ts";
import {
  countError,
  type ErrorCounts,
  socketLoop,
  wordsOf,
} from "./socket_loop.ts";

const QUESTION = new Uint8Array(16).fill(63);
const PATIENCE_MS = 60_000;
const CLOSED_TOGETHER = 50;
const CLOSE_PAUSE_MS = 10;

/** The connections that stay. */
const held: number[] = [];

/** Opens so many connections that stay, `together` in the making at a time. */
export async function crowdOpen(
  argument: {
    readonly address: string;
    readonly port: number;
    readonly count: number;
    readonly together: number;
  },
): Promise<{ readonly open: number; readonly errors: ErrorCounts }> {
  const loop = socketLoop();
  const { sockets } = loop;
  const words = wordsOf(argument.address);
  const errors: ErrorCounts = {};
  const making = new Set<number>();
  const over = Promise.withResolvers<void>();
  let begun = 0, open = 0;
  const fill = () => {
    while (begun < argument.count && making.size < argument.together) {
      begun++;
      const descriptor = sockets.connect(words, argument.port);
      if (descriptor < 0) {
        countError(errors, descriptor);
        continue;
      }
      making.add(descriptor);
      loop.watch(descriptor, SocketEvent.Writable, () => {
        loop.forget(descriptor);
        making.delete(descriptor);
        const error = sockets.takeError(descriptor);
        if (error === 0) {
          held.push(descriptor);
          open++;
        } else {
          sockets.close(descriptor);
          countError(errors, error);
        }
        fill();
      });
    }
    if (begun === argument.count && making.size === 0) over.resolve();
  };
  fill();
  const limit = setTimeout(() => over.resolve(), PATIENCE_MS);
  await over.promise;
  clearTimeout(limit);
  if (making.size > 0) errors.unfinished = making.size;
  return { open, errors };
}

/** Sends a line over each connection that stays and counts the echoes. */
export async function crowdEcho(
  argument: { readonly timeoutMs: number },
): Promise<{ readonly echoed: number; readonly errors: ErrorCounts }> {
  const loop = socketLoop();
  const { sockets } = loop;
  const errors: ErrorCounts = {};
  const waiting = new Set<number>();
  const over = Promise.withResolvers<void>();
  let echoed = 0;
  const settle = (descriptor: number, error: number) => {
    loop.forget(descriptor);
    waiting.delete(descriptor);
    if (error === 0) echoed++;
    else countError(errors, error);
    if (waiting.size === 0) over.resolve();
  };
  for (const descriptor of held) {
    waiting.add(descriptor);
    sockets.send(descriptor, QUESTION, QUESTION.length);
    loop.watch(descriptor, SocketEvent.Readable, () => {
      const length = sockets.receive(descriptor, loop.scratch, 4096);
      if (length === -SocketError.WouldBlock) return;
      if (length === QUESTION.length) settle(descriptor, 0);
      else settle(descriptor, length < 0 ? length : SocketError.Invalid);
    });
  }
  if (waiting.size === 0) over.resolve();
  const limit = setTimeout(() => over.resolve(), argument.timeoutMs);
  await over.promise;
  clearTimeout(limit);
  if (waiting.size > 0) errors.unfinished = waiting.size;
  for (const descriptor of waiting) loop.forget(descriptor);
  return { echoed, errors };
}

/**
 * Closes all connections that stay, in order or by a RST. @returns how many.
 *
 * A RST that a full queue drops is never repeated, and its connection would stay
 * for hours at the other end: a few at a time.
 */
export async function crowdClose(
  argument: { readonly how: "finish" | "reset" },
): Promise<number> {
  const { sockets } = socketLoop();
  const count = held.length;
  while (held.length > 0) {
    for (const descriptor of held.splice(0, CLOSED_TOGETHER)) {
      if (argument.how === "finish") sockets.close(descriptor);
      else sockets.reset(descriptor);
    }
    await new Promise((resolve) => setTimeout(resolve, CLOSE_PAUSE_MS));
  }
  return count;
}
