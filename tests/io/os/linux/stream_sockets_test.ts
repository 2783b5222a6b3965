/** The relay's sockets on loopback, without privileges. */
import assert from "node:assert/strict";
import { openPlatform } from "../../../../src/io/platform.ts";
import {
  SocketEvent,
  SocketTrigger,
} from "../../../../src/io/ports/socket_events.ts";
import {
  SocketError,
  type StreamSockets,
} from "../../../../src/io/ports/stream_sockets.ts";

const ignore = Deno.build.os !== "linux";
const LOOPBACK4 = Int32Array.of(0, 0, 0xffff, 0x7f000001);
const OTHER4 = Int32Array.of(0, 0, 0xffff, 0x7f000002);
const LOOPBACK6 = Int32Array.of(0, 0, 0, 1);

/** The sockets, and a way to wait for something at one of them. */
class Bench implements Disposable {
  readonly platform = openPlatform();
  readonly sockets: StreamSockets = this.platform.openStreamSockets();
  readonly #open = new Set<number>();

  own(descriptor: number): number {
    assert.ok(descriptor >= 0, this.sockets.errorText(descriptor));
    this.#open.add(descriptor);
    return descriptor;
  }

  /** Ends a descriptor before the others. */
  end(descriptor: number, how: "close" | "reset" = "close"): void {
    this.#open.delete(descriptor);
    this.sockets[how](descriptor);
  }

  wait(descriptor: number, wants: number): number {
    using events = this.platform.openSocketEvents();
    assert.equal(events.add(descriptor, wants, 7), 0);
    assert.equal(events.wait(5000), 1, "in time");
    assert.equal(events.key(0), 7);
    return events.happened(0);
  }

  /** Two ends of a TCP connection. */
  connect(words = LOOPBACK4): [client: number, server: number] {
    const listener = this.own(
      this.sockets.listen({ address: { words, port: 0 }, backlog: 8 }),
    );
    const port = this.sockets.localPort(listener);
    const client = this.own(this.sockets.connect(words, port));
    this.wait(listener, SocketEvent.Readable);
    const server = this.own(this.sockets.accept(listener));
    return [client, server];
  }

  [Symbol.dispose](): void {
    for (const descriptor of this.#open) this.sockets.close(descriptor);
    this.platform[Symbol.dispose]();
  }
}

function test(name: string, fn: (bench: Bench) => void): void {
  Deno.test({
    name,
    ignore,
    fn() {
      using bench = new Bench();
      fn(bench);
    },
  });
}

for (const words of [LOOPBACK4, LOOPBACK6]) {
  test(`TCP ${words === LOOPBACK4 ? 4 : 6}: connect, accept, peek, discard, finish`, (bench) => {
    const { sockets } = bench;
    const [client, server] = bench.connect(words);
    assert.deepEqual(sockets.peer, words);
    assert.equal(sockets.peerPort, sockets.localPort(client));
    assert.equal(sockets.connectResult(client), 0);
    assert.equal(sockets.noDelay(client), 0);
    assert.equal(sockets.setUnsentLimit(client, 65_536), 0);
    assert.equal(sockets.keepAlive(client, 60, 15, 4), 0);
    assert.ok(sockets.keepAlive(client, 60, 15, 1000) < 0, "too many probes");
    const bytes = Uint8Array.of(1, 2, 3, 4, 5);
    const room = new Uint8Array(16);
    assert.equal(sockets.receive(server, room, 16), -SocketError.WouldBlock);
    assert.equal(sockets.send(client, bytes, 5), 5);
    bench.wait(server, SocketEvent.Readable);
    assert.equal(sockets.peek(server, room, 16), 5);
    assert.equal(sockets.peek(server, room, 2), 2);
    const scratch = new Uint8Array(16);
    assert.equal(sockets.discard(server, scratch, 2), 2);
    assert.deepEqual([...scratch], new Array(16).fill(0), "nothing is copied");
    assert.equal(sockets.receive(server, room, 16), 3);
    assert.deepEqual([...room.subarray(0, 3)], [3, 4, 5]);
    assert.equal(sockets.peerFinished(server), false);
    assert.equal(sockets.shutdownWrite(client), 0);
    const happened = bench.wait(server, SocketEvent.ReadFinished);
    assert.ok((happened & SocketEvent.ReadFinished) !== 0);
    assert.equal(sockets.receive(server, room, 16), 0);
    assert.equal(sockets.peerFinished(server), true);
  });
}

test("a closed port refuses; the error is told once", (bench) => {
  const { sockets } = bench;
  const address = { words: LOOPBACK4, port: 0 };
  const listener = sockets.listen({ address, backlog: 1 });
  const port = sockets.localPort(listener);
  sockets.close(listener);
  const client = bench.own(sockets.connect(LOOPBACK4, port));
  bench.wait(client, SocketEvent.Writable);
  const refused = -SocketError.ConnectionRefused;
  assert.equal(sockets.connectResult(client), refused);
  assert.notEqual(sockets.connectResult(client), 0);
  assert.match(sockets.errorText(refused), /refused/);
});

test("a reset arrives as one, and sending after it raises no signal", (bench) => {
  const { sockets } = bench;
  const [client, server] = bench.connect();
  bench.end(client, "reset");
  bench.wait(server, SocketEvent.Readable);
  assert.equal(sockets.takeError(server), -SocketError.ConnectionReset);
  assert.equal(sockets.takeError(server), 0);
  const byte = Uint8Array.of(1);
  assert.equal(sockets.send(server, byte, 1), -SocketError.BrokenPipe);
});

test("connections start at an address and interface of choice", (bench) => {
  const { sockets } = bench;
  const address = { words: LOOPBACK4, port: 0 };
  const listener = bench.own(sockets.listen({ address, backlog: 8 }));
  const port = sockets.localPort(listener);
  bench.own(sockets.connect(LOOPBACK4, port, {
    localAddress: OTHER4,
    interfaceName: "lo",
  }));
  bench.wait(listener, SocketEvent.Readable);
  bench.own(sockets.accept(listener));
  assert.deepEqual(sockets.peer, OTHER4);
  const missing = sockets.connect(LOOPBACK4, port, { interfaceName: "none-7" });
  assert.equal(missing, -SocketError.NoDevice);
});

test("an address in use, and one that is nobody's, are told", (bench) => {
  const { sockets } = bench;
  const first = bench.own(
    sockets.listen({ address: { words: LOOPBACK4, port: 0 }, backlog: 1 }),
  );
  const port = sockets.localPort(first);
  assert.equal(
    sockets.listen({ address: { words: LOOPBACK4, port }, backlog: 1 }),
    -SocketError.AddressInUse,
  );
  const foreign = Int32Array.of(0, 0, 0xffff, 0xcb007101 | 0);
  assert.equal(
    sockets.listen({ address: { words: foreign, port: 0 }, backlog: 1 }),
    -SocketError.AddressNotAvailable,
  );
});

test("datagrams: bind, send, receive with source, errors of a connected one", (bench) => {
  const { sockets } = bench;
  const a = bench.own(sockets.openDatagram(4));
  const b = bench.own(sockets.openDatagram(4));
  assert.equal(sockets.bind(a, { words: LOOPBACK4, port: 0 }), 0);
  const bytes = Uint8Array.of(9, 8, 7);
  const port = sockets.localPort(a);
  assert.equal(sockets.sendTo(b, bytes, 3, LOOPBACK4, port), 3);
  const room = new Uint8Array(16);
  bench.wait(a, SocketEvent.Readable);
  assert.equal(sockets.receiveFrom(a, room, 16), 3);
  assert.deepEqual(sockets.peer, LOOPBACK4);
  assert.equal(sockets.peerPort, sockets.localPort(b));
  assert.equal(sockets.receiveFrom(a, room, 16), -SocketError.WouldBlock);

  const c = bench.own(sockets.openDatagram(4));
  assert.equal(sockets.connectDatagram(c, LOOPBACK4, port), 0);
  bench.end(a);
  assert.equal(sockets.send(c, bytes, 3), 3);
  const refused = -SocketError.ConnectionRefused;
  bench.wait(c, SocketEvent.Readable);
  assert.equal(sockets.receive(c, room, 16), refused);
});

test("a pair carries bytes, and peeks and discards as TCP does", (bench) => {
  const { sockets } = bench;
  const ends = new Int32Array(2);
  assert.equal(sockets.pair(ends), 0);
  const [a, b] = ends;
  bench.own(a);
  bench.own(b);
  const bytes = Uint8Array.of(1, 2, 3);
  assert.equal(sockets.send(a, bytes, 3), 3);
  const room = new Uint8Array(8);
  assert.equal(sockets.peek(b, room, 8), 3);
  assert.equal(sockets.discard(b, new Uint8Array(8), 2), 2);
  assert.equal(sockets.receive(b, room, 8), 1);
  assert.equal(room[0], 3);
});

test("events: level tells again, edge once; keys, changes and removal", (bench) => {
  const { sockets, platform } = bench;
  const [client, server] = bench.connect();
  using events = platform.openSocketEvents();
  assert.equal(events.wait(0), 0);
  events.add(server, SocketEvent.Readable, 0x7fff_fff1);
  const byte = Uint8Array.of(1);
  sockets.send(client, byte, 1);
  for (let i = 0; i < 2; i++) {
    assert.equal(events.wait(5000), 1);
    assert.equal(events.key(0), 0x7fff_fff1);
  }
  const edge = SocketEvent.Readable | SocketTrigger.Edge;
  assert.equal(events.change(server, edge, 5), 0);
  assert.equal(events.wait(5000), 1, "what holds now is told anew");
  assert.equal(events.key(0), 5);
  assert.equal(events.wait(0), 0);
  sockets.send(client, byte, 1);
  assert.equal(events.wait(5000), 1);
  assert.equal(events.remove(server), 0);
  sockets.send(client, byte, 1);
  assert.equal(events.wait(0), 0);
  assert.ok(events.remove(server) < 0);
});
