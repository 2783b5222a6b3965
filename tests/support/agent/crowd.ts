/**
 * Many TCP connections at once or one after the other: the server, clients that
 * ask and go, and clients that stay. What fails is counted by its error.
 */
import { SocketEvent } from "../../../src/io/ports/socket_events.ts";
import { SocketError } from "../../../src/io/ports/stream_sockets.ts";
import { errorName, socketLoop, wordsOf } from "./socket_loop.ts";

const BACKLOG = 4096;
const QUESTION = new Uint8Array(16).fill(63);
const CONNECT_TIMEOUT_MS = 60_000;
const CLOSED_TOGETHER = 50;
const CLOSE_PAUSE_MS = 10;

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

/** Errors by name, and how often. */
export type ErrorCounts = Record<string, number>;

/** How a run of short connections went. */
export interface ShortCount {
  /** Connections that got their whole answer. */
  readonly answered: number;
  readonly errors: ErrorCounts;
  readonly durationMs: number;
  /** From the first SYN to the server's end, in ms. */
  readonly medianMs: number;
  readonly p99Ms: number;
  readonly longestMs: number;
}

/**
 * Short connections to a server that answers, `together` at a time, for a while:
 * connect, ask, read to the end, close. Begun ones are brought to their end.
 */
export async function crowdShort(
  argument: {
    readonly address: string;
    readonly port: number;
    readonly seconds: number;
    readonly together: number;
    readonly answerBytes: number;
    /** At most so many a second; as many as possible where left out. */
    readonly perSecond?: number;
    /** How long to wait for begun ones at the end, in ms. */
    readonly patienceMs?: number;
  },
): Promise<ShortCount> {
  const loop = socketLoop();
  const { sockets } = loop;
  const { port, answerBytes, perSecond = Infinity } = argument;
  const words = wordsOf(argument.address);
  const errors: ErrorCounts = {};
  const times: number[] = [];
  const started = performance.now();
  const deadline = started + argument.seconds * 1000;
  const begun = new Map<number, number>();
  const over = Promise.withResolvers<void>();
  let count = 0, lastEnd = started;

  const fail = (error: number) => {
    const name = errorName(error);
    errors[name] = (errors[name] ?? 0) + 1;
  };
  const end = (descriptor: number, error: number) => {
    loop.forget(descriptor);
    sockets.close(descriptor);
    lastEnd = performance.now();
    if (error === 0) times.push(lastEnd - begun.get(descriptor)!);
    else fail(error);
    begun.delete(descriptor);
    fill();
  };
  const begin = () => {
    const descriptor = sockets.connect(words, port);
    count++;
    if (descriptor < 0) return fail(descriptor);
    begun.set(descriptor, performance.now());
    let got = 0;
    const read = () => {
      for (;;) {
        const length = sockets.receive(descriptor, loop.scratch, 65536);
        if (length === -SocketError.WouldBlock) return;
        if (length < 0) return end(descriptor, length);
        got += length;
        if (length > 0) continue;
        // An answer that is cut short is no answer.
        return end(descriptor, got === answerBytes ? 0 : SocketError.Invalid);
      }
    };
    loop.watch(descriptor, SocketEvent.Writable, () => {
      const error = sockets.takeError(descriptor);
      if (error !== 0) return end(descriptor, error);
      sockets.send(descriptor, QUESTION, QUESTION.length);
      loop.watch(descriptor, SocketEvent.Readable, read);
    });
  };
  const fill = () => {
    const now = performance.now();
    if (now < deadline) {
      const due = (now - started) / 1000 * perSecond;
      while (begun.size < argument.together && count < due) begin();
    } else if (begun.size === 0) over.resolve();
  };
  fill();
  // Begins what is due, and ends the run where nothing else would.
  const clock = setInterval(fill, 1);
  const limit = setTimeout(
    () => over.resolve(),
    argument.seconds * 1000 + (argument.patienceMs ?? CONNECT_TIMEOUT_MS),
  );
  await over.promise;
  clearInterval(clock);
  clearTimeout(limit);
  if (begun.size > 0) errors.unfinished = begun.size;
  for (const descriptor of begun.keys()) {
    loop.forget(descriptor);
    sockets.reset(descriptor);
  }
  times.sort((a, b) => a - b);
  return {
    answered: times.length,
    errors,
    durationMs: lastEnd - started,
    medianMs: times[times.length >> 1] ?? NaN,
    p99Ms: times[Math.floor(times.length * 0.99)] ?? NaN,
    longestMs: times.at(-1) ?? NaN,
  };
}

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
  const fail = (error: number) => {
    const name = errorName(error);
    errors[name] = (errors[name] ?? 0) + 1;
  };
  const fill = () => {
    while (begun < argument.count && making.size < argument.together) {
      begun++;
      const descriptor = sockets.connect(words, argument.port);
      if (descriptor < 0) {
        fail(descriptor);
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
          fail(error);
        }
        fill();
      });
    }
    if (begun === argument.count && making.size === 0) over.resolve();
  };
  fill();
  const limit = setTimeout(() => over.resolve(), CONNECT_TIMEOUT_MS);
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
    else errors[errorName(error)] = (errors[errorName(error)] ?? 0) + 1;
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
