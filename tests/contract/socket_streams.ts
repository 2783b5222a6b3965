/** Streams over sockets: what they do on every system. */
import assert from "node:assert/strict";
import { once } from "node:events";
import type { Platform } from "../../src/io/platform.ts";
import type { SocketStream, SocketStreams } from "../../src/io/ports.ts";
import {
  SocketError,
  type StreamSockets,
} from "../../src/io/ports/stream_sockets.ts";
import { waitFor } from "../support/wait.ts";
import { SocketBench } from "./stream_sockets.ts";

const MIB = 1 << 20;
const PERIOD = 65_521;
const QUICK = { intervalMs: 1 } as const;

/** A connection: one end a stream, the other in the test's hand. */
interface Ends {
  readonly stream: SocketStream;
  readonly other: number;
  readonly sockets: StreamSockets;
  readonly streams: SocketStreams;
  readonly bench: SocketBench;
}

/** Registers the suite for a system. */
export function testSocketStreams(open: () => Platform): void {
  const test = (name: string, run: (ends: Ends) => Promise<void>) =>
    Deno.test(`socket streams: ${name}`, async () => {
      using bench = new SocketBench(open);
      using platform = open();
      using streams = platform.openSocketStreams();
      const { sockets } = bench;
      const [other, given] = bench.connect();
      bench.forget(given);
      const stream = streams.open(given);
      const closed = once(stream, "close").catch(() => {});
      await run({ stream, other, sockets, streams, bench });
      stream.destroy();
      await closed;
    });
  test("bytes go both ways, each direction ends by itself", tellHalves);
  test("a reader that stands still holds the sender up", tellPressure);
  test("a reset is an error, and resetting resets", tellResets);
  test("what is destroyed is closed; the set goes on with others", tellMany);
}

async function tellHalves({ stream, other, sockets }: Ends): Promise<void> {
  const received: Uint8Array[] = [];
  stream.on("data", (chunk: Uint8Array) => received.push(chunk));
  const ended = once(stream, "end");
  const sent = pattern(MIB);
  await sendAll(sockets, other, sent);
  sockets.shutdownWrite(other);
  await ended;
  assert.deepEqual(concat(received), sent);

  const back = pattern(3 * MIB);
  stream.write(back.slice(0, 5));
  stream.end(back.slice(5));
  assert.deepEqual(await receiveAll(sockets, other), back);
  await waitFor("the end of both to close it", () => stream.destroyed, QUICK);
}

async function tellPressure({ stream, other, sockets }: Ends): Promise<void> {
  const all = pattern(64 * MIB);
  let sent = 0;
  for (let idle = 0; idle < 20;) {
    const more = sendSome(sockets, other, all, sent);
    sent += more;
    idle = more === 0 ? idle + 1 : 0;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  assert.ok(sent < all.length / 2, `${sent} bytes were taken`);
  sockets.shutdownWrite(other);
  let at = 0;
  for await (const chunk of stream as AsyncIterable<Uint8Array>) {
    for (let i = 0; i < chunk.length; i += 997) {
      assert.equal(chunk[i], all[at + i]);
    }
    at += chunk.length;
  }
  assert.equal(at, sent);
}

async function tellResets(
  { stream, other, sockets, streams, bench }: Ends,
): Promise<void> {
  const failed = once(stream, "error");
  stream.resume();
  bench.end(other, "reset");
  const [error] = await failed;
  assert.match(error.message, /reset/i);

  const [client, given] = bench.connect();
  bench.forget(given);
  const second = streams.open(given);
  second.on("error", () => {});
  second.resetAndDestroy();
  const room = new Uint8Array(1);
  const { result } = await waitFor("the reset", () => {
    const result = sockets.receive(client, room, 1);
    return result === -SocketError.WouldBlock ? undefined : { result };
  }, QUICK);
  assert.equal(result, -SocketError.ConnectionReset);
}

async function tellMany(
  { stream, other, sockets, streams, bench }: Ends,
): Promise<void> {
  const room = new Uint8Array(1);
  for (let round = 0; round < 20; round++) {
    const [client, given] = bench.connect();
    bench.forget(given);
    const next = streams.open(given);
    const data = once(next, "data");
    sockets.send(client, Uint8Array.of(round), 1);
    assert.equal((await data)[0][0], round);
    next.destroy();
    await waitFor(
      "the end",
      () => sockets.receive(client, room, 1) === 0,
      QUICK,
    );
    bench.end(client);
  }
  const data = once(stream, "data");
  sockets.send(other, Uint8Array.of(99), 1);
  assert.equal((await data)[0][0], 99);
}

async function sendAll(
  sockets: StreamSockets,
  socket: number,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<void> {
  let at = 0;
  await waitFor("all to be sent", () => {
    at += sendSome(sockets, socket, bytes, at);
    return at === bytes.length;
  }, QUICK);
}

function sendSome(
  sockets: StreamSockets,
  socket: number,
  bytes: Uint8Array<ArrayBuffer>,
  at: number,
): number {
  const rest = bytes.subarray(at, at + (1 << 18));
  const count = sockets.send(socket, rest, rest.length);
  if (count === -SocketError.WouldBlock) return 0;
  if (count < 0) throw new Error(sockets.errorText(count));
  return count;
}

/** Reads to the end. */
async function receiveAll(
  sockets: StreamSockets,
  socket: number,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  const room = new Uint8Array(1 << 18);
  await waitFor("the end of the stream", () => {
    for (;;) {
      const count = sockets.receive(socket, room, room.length);
      if (count === -SocketError.WouldBlock) return false;
      if (count < 0) throw new Error(sockets.errorText(count));
      if (count === 0) return true;
      chunks.push(room.slice(0, count));
    }
  }, QUICK);
  return concat(chunks);
}

/** Bytes that repeat after a number of them that no buffer has. */
function pattern(length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < Math.min(PERIOD, length); i++) {
    bytes[i] = i * 7 + (i >> 8);
  }
  for (let filled = PERIOD; filled < length; filled *= 2) {
    bytes.copyWithin(filled, 0, Math.min(filled, length - filled));
  }
  return bytes;
}

function concat(chunks: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(chunks.reduce((sum, c) => sum + c.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}
