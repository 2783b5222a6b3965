/** Pairs on loopback: complete, broken, and with strangers at the listener. */
import assert from "node:assert/strict";
import { LoopbackPair } from "../../../src/io/outbound/loopback_pair.ts";
import { SocketError, type StreamSockets } from "../../../src/io/ports.ts";
import { waitFor } from "../../support/wait.ts";
import { Connection, DialWorld, target } from "./dial_world.ts";

const { words: LOOPBACK } = target("127.0.0.1", 0);

function complete(pair: LoopbackPair): Promise<boolean> {
  return waitFor("the pair", () => {
    const result = pair.advance();
    assert.ok(result === 0 || result === -SocketError.WouldBlock);
    return result === 0;
  }, { intervalMs: 1 });
}

Deno.test("loopback pair: bytes, ends and resets pass", async () => {
  using world = new DialWorld();
  {
    using pair = new LoopbackPair(world.sockets);
    await complete(pair);
    using near = new Connection(world.sockets, pair.takeNear());
    const far = new Connection(world.sockets, pair.takeFar());
    await near.send(Uint8Array.of(1, 2, 3));
    near.finish();
    assert.deepEqual(await far.receiveExactly(4), Uint8Array.of(1, 2, 3));
    far.reset();
    await assert.rejects(near.receive(), /reset by peer/);
  }
  assert.equal(world.openSockets, 0);
});

Deno.test("loopback pair: what was not taken is closed", async () => {
  using world = new DialWorld();
  new LoopbackPair(world.sockets)[Symbol.dispose]();
  const pair = new LoopbackPair(world.sockets);
  await complete(pair);
  pair[Symbol.dispose]();
  pair[Symbol.dispose]();
  assert.equal(world.openSockets, 0);
});

Deno.test("loopback pair: a stranger who is first gets nothing", async () => {
  using world = new DialWorld();
  const { sockets } = world;
  let stranger = -1;
  const raced = new Proxy(sockets, {
    get(_, name: keyof StreamSockets) {
      if (name === "connect") {
        return (words: Int32Array, port: number) => {
          stranger = sockets.connect(LOOPBACK, port);
          return sockets.connect(words, port);
        };
      }
      const member = sockets[name];
      return typeof member === "function" ? member.bind(sockets) : member;
    },
  });
  using pair = new LoopbackPair(raced);
  await complete(pair);
  using near = new Connection(sockets, pair.takeNear());
  using far = new Connection(sockets, pair.takeFar());
  using outsider = new Connection(sockets, stranger);
  await far.send(Uint8Array.of(9));
  assert.deepEqual(await near.receiveExactly(1), Uint8Array.of(9));
  const nothing = await outsider.receive().catch(() => new Uint8Array());
  assert.equal(nothing.length, 0);
});

Deno.test("loopback pair: without descriptors it fails, and nothing stays open", () => {
  const closed: number[] = [];
  const poor = {
    listen: () => 1000,
    localPort: () => 1,
    connect: () => -SocketError.TooManyFiles,
    close: (descriptor: number) => void closed.push(descriptor),
  } as unknown as StreamSockets;
  const pair = new LoopbackPair(poor);
  assert.equal(pair.advance(), -SocketError.TooManyFiles);
  pair[Symbol.dispose]();
  assert.deepEqual(closed, [1000]);
  const none = { listen: () => -SocketError.TooManyFiles } as unknown;
  using unlistened = new LoopbackPair(none as StreamSockets);
  assert.equal(unlistened.advance(), -SocketError.TooManyFiles);
});
