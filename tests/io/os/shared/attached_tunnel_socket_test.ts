import assert from "node:assert/strict";
import { Batch } from "../../../../src/core/columns/batch.ts";
import {
  AttachedTunnelSocket,
  type TunnelMessages,
} from "../../../../src/io/os/shared/attached_tunnel_socket.ts";
import { TunnelSocketSources } from "../../../../src/io/os/shared/tunnel_socket_sources.ts";
import { BATCH, bytesPerPacket } from "../../../core/engine/heap.ts";

const A = Int32Array.of(0, 0, 0xffff, 0x0a000001);
const B = Int32Array.of(0, 0, 0xffff, 0x0a000002);

/** A socket whose sends are written down as «at length port», and may fail. */
function attach(sources?: SharedArrayBuffer) {
  const bytes = new Uint8Array(64);
  const sent: string[][] = [];
  const refused = new Set<number>();
  let learnt: TunnelSocketSources | undefined;
  const send = (
    { messages, destinations }: TunnelMessages,
    socket: number,
  ) => {
    const { at, length, group, count } = messages;
    assert.equal(socket, 44);
    sent.push(Array.from({ length: count }, (_, message) => {
      if (refused.has(at[message])) destinations.fail(message);
      const port = destinations.port[group[message]];
      return `${at[message]} ${length[message]} ${port}`;
    }));
    messages.count = 0;
  };
  const socket = new AttachedTunnelSocket({
    descriptor: 44,
    port: 51820,
    family: 6,
    sources,
    bytes,
    receiveArea: { start: 0, end: 0 },
  }, (messages, sources) => {
    learnt = sources;
    return {
      trains: { send: (socket) => send(messages, socket) },
      receiver: { receive: (batch) => batch.push(0, 1, -1) + 5 },
    };
  });
  return { socket, sent, refused, sources: () => learnt };
}

Deno.test("messages wait for a flush, each with its destination", () => {
  const { socket, sent } = attach();
  socket.queue(0, 100, A, 0, 7);
  socket.queue(100, 100, A, 0, 7);
  socket.queue(200, 50, B, 0, 8);
  assert.deepEqual(sent, []);
  assert.equal(socket.flush(), 0);
  assert.deepEqual(sent, [["0 100 7", "100 100 7", "200 50 8"]]);
  assert.equal(socket.flush(), 0);
  assert.equal(sent.length, 1, "nothing waits");
});

Deno.test("one message more than can wait sends those before it", () => {
  const { socket, sent, refused } = attach();
  refused.add(3).add(512);
  for (let at = 0; at < 512; at++) socket.queue(at, 1, at & 1 ? A : B, 0, 7);
  assert.equal(sent.length, 0);
  socket.queue(512, 1, A, 0, 7);
  assert.deepEqual(sent.map(({ length }) => length), [512]);
  assert.equal(socket.flush(), 2, "those that failed before are told, too");
  assert.deepEqual(sent[1], ["512 1 7"]);
  assert.equal(socket.flush(), 0);
});

Deno.test("the parts have the sources that workers share", () => {
  const { BYTE_LENGTH } = TunnelSocketSources;
  const shared = new SharedArrayBuffer(BYTE_LENGTH);
  const { sources } = attach(shared);
  sources()!.learn(A, 0, 7, B, 0);
  const found = new Int32Array(4);
  assert.ok(new TunnelSocketSources(shared).find(A, 0, 7, found, 0));
  assert.deepEqual(found, B);
  assert.equal(attach().sources(), undefined);
});

Deno.test("it receives by its receiver, and names its socket", () => {
  const { socket } = attach();
  const sizes = { spareStart: 0, spareEnd: 64, headroom: 0, tailroom: 0 };
  const bytes = new Uint8Array(64);
  assert.equal(socket.receive(new Batch({ bytes, capacity: 8, ...sizes })), 5);
  assert.deepEqual([socket.descriptor, socket.port], [44, 51820]);
});

Deno.test("queueing allocates nothing", () => {
  const attachment = {
    descriptor: 1,
    port: 1,
    family: 6,
    sources: undefined,
    bytes: new Uint8Array(64),
    receiveArea: { start: 0, end: 0 },
  } as const;
  let sent = 0;
  const socket = new AttachedTunnelSocket(attachment, ({ messages }) => ({
    trains: {
      send() {
        sent += messages.count;
        messages.count = 0;
      },
    },
    receiver: { receive: () => 0 },
  }));
  const cost = bytesPerPacket(() => {
    for (let i = 0; i < BATCH; i++) socket.queue(i, 1, i & 2 ? A : B, 0, 7);
    socket.flush();
  });
  assert.ok(sent > 0);
  assert.ok(cost < 1, `${cost} bytes a message`);
});
