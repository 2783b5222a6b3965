/** Short TCP connections, one after the other and many at a time. */
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

  const end = (descriptor: number, error: number) => {
    loop.forget(descriptor);
    sockets.close(descriptor);
    lastEnd = performance.now();
    if (error === 0) times.push(lastEnd - begun.get(descriptor)!);
    else countError(errors, error);
    begun.delete(descriptor);
    fill();
  };
  const begin = () => {
    const descriptor = sockets.connect(words, port);
    count++;
    if (descriptor < 0) return countError(errors, descriptor);
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
    argument.seconds * 1000 + (argument.patienceMs ?? PATIENCE_MS),
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
