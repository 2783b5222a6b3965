/** The relay's sockets on Linux: what all systems do, and what only Linux does. */
import assert from "node:assert/strict";
import { openPlatform } from "../../../../src/io/platform.ts";
import {
  SocketEvent,
  SocketTrigger,
} from "../../../../src/io/ports/socket_events.ts";
import { SocketError } from "../../../../src/io/ports/stream_sockets.ts";
import {
  SocketBench,
  testStreamSockets,
} from "../../../contract/stream_sockets.ts";

const PATIENCE_MS = 5000;

testStreamSockets({
  open: openPlatform,
  loopback: "lo",
  tooManyProbes: 1000,
  refusedDatagrams: "told",
});

function test(name: string, fn: (bench: SocketBench) => void): void {
  Deno.test(name, () => {
    using bench = new SocketBench(openPlatform);
    fn(bench);
  });
}

test("discarding copies nothing", (bench) => {
  const { sockets } = bench;
  const [client, server] = bench.connect();
  sockets.send(client, Uint8Array.of(1, 2, 3), 3);
  bench.wait(server, SocketEvent.Readable);
  const scratch = new Uint8Array(8);
  assert.equal(sockets.discard(server, scratch, 2), 2);
  assert.deepEqual([...scratch], new Array(8).fill(0));
});

test("an error is told once; sending after it is a broken pipe", (bench) => {
  const { sockets } = bench;
  const [client, server] = bench.connect();
  bench.end(client, "reset");
  bench.wait(server, SocketEvent.Readable);
  assert.equal(sockets.takeError(server), -SocketError.ConnectionReset);
  assert.equal(sockets.takeError(server), 0);
  const byte = Uint8Array.of(1);
  assert.equal(sockets.send(server, byte, 1), -SocketError.BrokenPipe);
});

test("an edge is told again with new bytes, the old ones read or not", (bench) => {
  const { sockets, platform } = bench;
  const [client, server] = bench.connect();
  using events = platform.openSocketEvents();
  events.add(server, SocketEvent.Readable | SocketTrigger.Edge, 1);
  for (let i = 0; i < 3; i++) {
    sockets.send(client, Uint8Array.of(1), 1);
    assert.equal(events.wait(PATIENCE_MS), 1);
    assert.equal(events.wait(0), 0);
  }
});
