/** Trains of datagrams, by a Winsock that has them as Windows 10 does. */
import assert from "node:assert/strict";
import { WSA } from "../../../../../ffi/windows/ws2_32.ts";
import {
  openSocketLibraries,
  type SocketLibraries,
} from "../../../../../src/io/os/windows/socket_libraries.ts";
import {
  attachOutside,
  openOutside,
} from "../../../../../src/io/os/windows/outside.ts";
import {
  attachPoller,
  openPoller,
} from "../../../../../src/io/os/windows/poller.ts";
import { attachTunnelSocket } from "../../../../../src/io/os/windows/tunnel_socket.ts";
import { openTunnelSocket } from "../../../../../src/io/os/windows/tunnel_socket_opener.ts";
import { openWake } from "../../../../../src/io/os/windows/wake.ts";
import { openPlatform } from "../../../../../src/io/platform.ts";
import {
  mixture,
  testTunnelSocket,
} from "../../../../contract/tunnel_socket.ts";
import { OutsideEnd } from "../../../../support/outside_end.ts";
import { numbered } from "../../../../support/packet_arena.ts";
import { target, TunnelEnd } from "../../../../support/tunnel_end.ts";
import { TrainWinsock } from "./train_winsock.ts";

class TrainPlatform {
  readonly #libraries = openSocketLibraries();
  readonly winsock = new TrainWinsock(this.#libraries.ws2);
  readonly #own: SocketLibraries = {
    ...this.#libraries,
    ws2: this.winsock.ws2,
    [Symbol.dispose]: () => {},
  };
  readonly openTunnelSocket = openTunnelSocket
    .bind(undefined, this.winsock.ws2);
  readonly attachTunnelSocket = attachTunnelSocket
    .bind(undefined, this.winsock.ws2);
  readonly openWake = () => openWake(this.#own.kernel32);
  readonly openPoller = openPoller.bind(undefined, this.#own);
  readonly attachPoller = attachPoller.bind(undefined, this.#own);
  readonly openOutside = openOutside.bind(undefined, this.#own);
  readonly attachOutside = attachOutside.bind(undefined, this.#own);

  [Symbol.dispose](): void {
    this.winsock[Symbol.dispose]();
    this.#libraries[Symbol.dispose]();
  }
}

const open = () => new TrainPlatform();

testTunnelSocket({ open, messages: 530, sources: "ignored" });

Deno.test("messages leave in trains, each no larger than the system takes", () => {
  using platform = open();
  using a = new TunnelEnd(platform);
  using b = new TunnelEnd(platform);
  assert.equal(a.send(target(`127.0.0.1:${b.socket.port}`), mixture()), 0);
  const trains = platform.winsock.sent;
  assert.ok(trains.length > 3);
  assert.ok(
    trains.every(({ segment, datagrams }) =>
      datagrams > 1 && datagrams <= 64 && segment * datagrams <= 65_535
    ),
  );
  assert.deepEqual(trains.slice(0, 2).map(({ segment }) => segment), [
    1452,
    1452,
  ]);
  assert.deepEqual(b.receiveAll().bytes, mixture());
  assert.ok(platform.winsock.received.some((datagrams) => datagrams > 20));
});

Deno.test("answers carry the address that was written to", () => {
  using platform = open();
  using real = openPlatform();
  // The stand-in's receiving tells no local address; the real one does.
  using server = new TunnelEnd(real, { source: "sticky" });
  for (const [host, source] of [["127.0.0.7", "7f000007"], ["[::1]", "0001"]]) {
    using client = new TunnelEnd(real);
    client.send(target(`${host}:${server.socket.port}`), [numbered(1, 50)]);
    assert.equal(server.receiveAll().bytes.length, 1);
    const answering = server.attach(platform);
    const loopback = host.startsWith("[") ? "[::1]" : "127.0.0.1";
    const { words, port } = target(`${loopback}:${client.socket.port}`);
    platform.winsock.sent.length = 0;
    for (const at of [0, 1, 2].map((i) => server.arena.put(numbered(i, 60)))) {
      answering.queue(at, 60, words, 0, port);
    }
    assert.equal(answering.flush(), 0);
    const [train] = platform.winsock.sent;
    assert.equal(train.datagrams, 3);
    assert.ok(train.source?.includes(source), train.source);
    assert.ok(train.source?.endsWith("00000000"), "any interface");
    assert.equal(client.receiveAll().bytes.length, 3);
  }
});

for (const code of [WSA.EINVAL, WSA.EMSGSIZE]) {
  Deno.test(`refused trains (${code}) leave message by message, after many for a while`, () => {
    using platform = open();
    using a = new TunnelEnd(platform);
    using b = new TunnelEnd(platform);
    const to = target(`127.0.0.1:${b.socket.port}`);
    platform.winsock.refusal = { code, times: 1000 };
    const ten = [...new Array(10).keys()].map((i) => numbered(i, 100));
    for (let i = 0; i < 40; i++) {
      assert.equal(a.send(to, ten), 0);
      assert.deepEqual(b.receiveAll().bytes, ten);
    }
    assert.equal(platform.winsock.refusal.times, 1000 - 32);
    for (let i = 0; i < 1020; i++) {
      assert.equal(a.send(to, ten), 0);
      b.receiveAll();
    }
    assert.equal(platform.winsock.refusal.times, 1000 - 32 - 5);
  });
}

Deno.test("a mapping's train is taken apart, with room for headers and seal", () => {
  using platform = open();
  using end = new OutsideEnd(platform, { receiveBytes: 2 * 92_000 });
  const near = end.openUdp(4, 1);
  const far = end.openUdp(4, 2);
  const to = `127.0.0.1:${end.outside.port(far)}`;
  const sent = [...new Array(40).keys()].map((i) =>
    numbered(i, i < 39 ? 1100 : 77)
  );
  for (const bytes of sent) end.queueUdp(near, to, bytes);
  assert.equal(end.outside.flush(), 0);
  assert.ok(platform.winsock.sent.length <= 2);
  const { batch } = end.arena;
  batch.clear();
  assert.equal(end.outside.receive(2, far, batch), sent.length);
  assert.deepEqual(platform.winsock.received, [40]);
  for (let row = 0; row < batch.count; row++) {
    const start = batch.offset[row];
    const end_ = start + batch.length[row];
    end.arena.bytes.fill(0xee, start - 128, start);
    end.arena.bytes.fill(0xee, end_, end_ + 64);
    assert.equal(batch.target[row], 2);
  }
  assert.deepEqual(end.arena.rows(), sent);
});

Deno.test("a train of more datagrams than there are rows for gives whole ones only", () => {
  using platform = open();
  using end = new OutsideEnd(platform, { receiveBytes: 2 * 92_000 });
  const near = end.openUdp(4, 1);
  const far = end.openUdp(4, 2);
  const to = `127.0.0.1:${end.outside.port(far)}`;
  const sent = [...new Array(200).keys()].map((i) => numbered(i, 20));
  for (const bytes of sent) end.queueUdp(near, to, bytes);
  assert.equal(end.outside.flush(), 0);
  platform.winsock.most = 200;
  const { batch } = end.arena;
  batch.clear();
  const rows = end.outside.receive(2, far, batch);
  assert.deepEqual(platform.winsock.received, [200]);
  assert.deepEqual(end.arena.rows(), sent.slice(0, rows));
  assert.equal(rows, 128);
});

Deno.test("a socket whose trains are not told does without them from then on", () => {
  using platform = open();
  using a = new TunnelEnd(platform);
  using b = new TunnelEnd(platform);
  const to = target(`127.0.0.1:${b.socket.port}`);
  const five = [...new Array(5).keys()].map((i) => numbered(i, 1400));
  platform.winsock.told = "silent";
  assert.equal(a.send(to, five), 0);
  assert.equal(b.receiveAll().bytes.length, 1, "they are lost");
  for (let round = 0; round < 3; round++) {
    assert.equal(a.send(to, five), 0);
    assert.deepEqual(b.receiveAll().bytes, five);
  }
  assert.ok(platform.winsock.plain.has(b.opened.descriptor));

  using end = new OutsideEnd(platform);
  const near = end.openUdp(4, 1);
  const far = end.openUdp(4, 2);
  const { batch } = end.arena;
  for (const rows of [1, 5, 5]) {
    batch.clear();
    for (const bytes of five) {
      end.queueUdp(near, `127.0.0.1:${end.outside.port(far)}`, bytes);
    }
    assert.equal(end.outside.flush(), 0);
    batch.clear();
    assert.equal(end.outside.receive(2, far, batch), rows);
  }
});
