/**
 * What a relay's sockets and its poll set do on every system: one suite over
 * loopback, without privileges.
 */
import assert from "node:assert/strict";
import type { Platform } from "../../src/io/platform.ts";
import {
  SocketEvent,
  SocketTrigger,
} from "../../src/io/ports/socket_events.ts";
import {
  SocketError,
  type StreamSockets,
} from "../../src/io/ports/stream_sockets.ts";

/** One system. */
export interface SocketsSubject {
  readonly open: () => SocketsPlatform;
  /** The name of the loopback interface; undefined where sockets aren't bound to one by name. */
  readonly loopback: string | undefined;
  /** Keep-alive probes that no system of this kind takes. */
  readonly tooManyProbes: number;
  /** `told`: a connected UDP socket hears that nobody has the port. */
  readonly refusedDatagrams: "told" | "silent";
}

/** What the suite needs of a platform. */
export type SocketsPlatform =
  & Pick<Platform, "openStreamSockets" | "openSocketEvents" | "openWake">
  & Disposable;

export const LOOPBACK4: Int32Array = Int32Array.of(0, 0, 0xffff, 0x7f000001);
const OTHER4 = Int32Array.of(0, 0, 0xffff, 0x7f000002);
export const LOOPBACK6: Int32Array = Int32Array.of(0, 0, 0, 1);
const PATIENCE_MS = 5000;

/** The sockets, and a way to wait for something at one of them. */
export class SocketBench implements Disposable {
  readonly platform: SocketsPlatform;
  readonly sockets: StreamSockets;
  readonly #open = new Set<number>();

  constructor(open: () => SocketsPlatform) {
    this.platform = open();
    this.sockets = this.platform.openStreamSockets();
  }

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

  /** A descriptor is somebody else's from now on. */
  forget(descriptor: number): void {
    this.#open.delete(descriptor);
  }

  wait(descriptor: number, wants: number): number {
    using events = this.platform.openSocketEvents();
    assert.equal(events.add(descriptor, wants, 7), 0);
    assert.equal(events.wait(PATIENCE_MS), 1, "in time");
    assert.equal(events.key(0), 7);
    return events.happened(0);
  }

  listen(words = LOOPBACK4): number {
    const address = { words, port: 0 };
    return this.own(this.sockets.listen({ address, backlog: 8 }));
  }

  /** Two ends of a TCP connection. */
  connect(words = LOOPBACK4): [client: number, server: number] {
    const listener = this.listen(words);
    const port = this.sockets.localPort(listener);
    const client = this.own(this.sockets.connect(words, port));
    this.wait(listener, SocketEvent.Readable);
    const server = this.own(this.sockets.accept(listener));
    this.wait(client, SocketEvent.Writable);
    return [client, server];
  }

  [Symbol.dispose](): void {
    for (const descriptor of this.#open) this.sockets.close(descriptor);
    this.platform[Symbol.dispose]();
  }
}

/** Registers the suite for a system. */
export function testStreamSockets(subject: SocketsSubject): void {
  const test = (name: string, fn: (bench: SocketBench) => void) =>
    Deno.test(name, () => {
      using bench = new SocketBench(subject.open);
      fn(bench);
    });
  for (const words of [LOOPBACK4, LOOPBACK6]) {
    const family = words === LOOPBACK4 ? 4 : 6;
    test(`TCP ${family}: connect, accept, peek, discard, finish`, (bench) =>
      tellTcp(bench, words, subject));
  }
  test("a closed port refuses; the error is told", tellRefused);
  test("a reset arrives as one, and sending after it fails", tellReset);
  test("connections start at an address and interface of choice", (bench) =>
    tellOrigin(bench, subject));
  test("a connection to this host is told from others", tellOwnHost);
  test("an address in use, and one that is nobody's, are told", tellAddresses);
  test("datagrams: bind, send, receive with source", tellDatagrams);
  test("datagrams: a connected socket hears of its one address alone", (bench) =>
    tellConnectedDatagrams(bench, subject));
  test(
    "events: level tells again, edge once; keys, changes and removal",
    tellTriggers,
  );
  test(
    "events: an edge is told again after the last one was used up",
    tellEdges,
  );
  test("events: what is full tells when it has room again", tellRoom);
  test("events: a listener, a wake and time", tellOthers);
  test(
    "events: a closed socket is told of no more, and its number may come again",
    tellClosed,
  );
  test("a spare descriptor, and the text of errors", tellSpare);
}

function tellTcp(
  bench: SocketBench,
  words: Int32Array,
  { tooManyProbes }: SocketsSubject,
): void {
  const { sockets } = bench;
  const [client, server] = bench.connect(words);
  assert.deepEqual(sockets.peer, words);
  assert.equal(sockets.peerPort, sockets.localPort(client));
  assert.equal(sockets.connectResult(client), 0);
  assert.equal(sockets.takeError(client), 0);
  assert.equal(sockets.noDelay(client), 0);
  assert.equal(sockets.setBuffers(client, 65_536), 0);
  assert.equal(sockets.setUnsentLimit(client, 65_536), 0);
  assert.equal(sockets.keepAlive(client, 60, 15, 4), 0);
  assert.ok(sockets.keepAlive(client, 60, 15, tooManyProbes) < 0);
  const bytes = Uint8Array.of(1, 2, 3, 4, 5);
  const room = new Uint8Array(16);
  assert.equal(sockets.receive(server, room, 16), -SocketError.WouldBlock);
  assert.equal(sockets.peek(server, room, 16), -SocketError.WouldBlock);
  assert.equal(sockets.send(client, bytes, 5), 5);
  bench.wait(server, SocketEvent.Readable);
  assert.equal(sockets.peek(server, room, 16), 5);
  assert.equal(sockets.peek(server, room, 2), 2);
  assert.equal(sockets.discard(server, new Uint8Array(16), 2), 2);
  assert.equal(sockets.receive(server, room, 16), 3);
  assert.deepEqual([...room.subarray(0, 3)], [3, 4, 5]);
  assert.equal(sockets.peerFinished(server), false);
  assert.equal(sockets.send(client, bytes, 5), 5);
  bench.wait(server, SocketEvent.Readable);
  assert.equal(sockets.receive(server, room, 16), 5);
  assert.equal(sockets.shutdownWrite(client), 0);
  const happened = bench.wait(
    server,
    SocketEvent.Readable | SocketEvent.ReadFinished,
  );
  assert.ok((happened & SocketEvent.ReadFinished) !== 0);
  assert.ok((happened & SocketEvent.Readable) !== 0);
  assert.equal(sockets.receive(server, room, 16), 0);
  assert.equal(sockets.peerFinished(server), true);
  assert.equal(sockets.peerFinished(client), false);
  assert.equal(
    sockets.send(server, bytes, 5),
    5,
    "the other direction goes on",
  );
  bench.wait(client, SocketEvent.Readable);
  assert.equal(sockets.receive(client, room, 16), 5);
  assert.ok(sockets.send(client, bytes, 5) < 0, "ours is finished");
}

function tellRefused(bench: SocketBench): void {
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
}

function tellReset(bench: SocketBench): void {
  const { sockets } = bench;
  const [client, server] = bench.connect();
  bench.end(client, "reset");
  const happened = bench.wait(server, SocketEvent.Readable);
  assert.ok((happened & SocketEvent.Error) !== 0);
  assert.equal(sockets.peerFinished(server), true);
  assert.equal(sockets.takeError(server), -SocketError.ConnectionReset);
  const byte = Uint8Array.of(1);
  const after: number[] = [
    -SocketError.BrokenPipe,
    -SocketError.ConnectionReset,
    -SocketError.ConnectionAborted,
  ];
  assert.ok(after.includes(sockets.send(server, byte, 1)));

  const [vanishing, left] = bench.connect();
  sockets.send(vanishing, byte, 1);
  bench.wait(left, SocketEvent.Readable);
  bench.end(vanishing, "reset");
  bench.wait(left, SocketEvent.Writable);
}

function tellOrigin(bench: SocketBench, { loopback }: SocketsSubject): void {
  const { sockets } = bench;
  const listener = bench.listen();
  const port = sockets.localPort(listener);
  bench.own(sockets.connect(LOOPBACK4, port, {
    localAddress: OTHER4,
    ...(loopback === undefined ? {} : { interfaceName: loopback }),
  }));
  bench.wait(listener, SocketEvent.Readable);
  bench.own(sockets.accept(listener));
  assert.deepEqual(sockets.peer, OTHER4);
  const missing = sockets.connect(LOOPBACK4, port, { interfaceName: "none-7" });
  assert.equal(missing, -SocketError.NoDevice);
  const elsewhere = Int32Array.of(0, 0, 0xffff, 0xcb007101 | 0);
  const foreign = sockets.connect(LOOPBACK4, port, { localAddress: elsewhere });
  assert.equal(foreign, -SocketError.AddressNotAvailable);
}

function tellOwnHost(bench: SocketBench): void {
  const { sockets } = bench;
  for (const words of [LOOPBACK4, OTHER4, LOOPBACK6]) {
    const [client, server] = bench.connect(words);
    assert.equal(sockets.isToOwnHost(client), true);
    assert.equal(sockets.isToOwnHost(server), true);
  }
}

function tellAddresses(bench: SocketBench): void {
  const { sockets } = bench;
  const port = sockets.localPort(bench.listen());
  assert.equal(
    sockets.listen({ address: { words: LOOPBACK4, port }, backlog: 1 }),
    -SocketError.AddressInUse,
  );
  const foreign = Int32Array.of(0, 0, 0xffff, 0xcb007101 | 0);
  assert.equal(
    sockets.listen({ address: { words: foreign, port: 0 }, backlog: 1 }),
    -SocketError.AddressNotAvailable,
  );
}

function tellDatagrams(bench: SocketBench): void {
  const { sockets } = bench;
  for (const words of [LOOPBACK4, LOOPBACK6]) {
    const family = words === LOOPBACK4 ? 4 : 6;
    const a = bench.own(sockets.openDatagram(family));
    const b = bench.own(sockets.openDatagram(family));
    assert.equal(sockets.bind(a, { words, port: 0 }), 0);
    const bytes = Uint8Array.of(9, 8, 7);
    const port = sockets.localPort(a);
    assert.equal(sockets.sendTo(b, bytes, 3, words, port), 3);
    const room = new Uint8Array(16);
    bench.wait(a, SocketEvent.Readable);
    assert.equal(sockets.receiveFrom(a, room, 16), 3);
    assert.deepEqual(sockets.peer, words);
    assert.equal(sockets.peerPort, sockets.localPort(b));
    assert.equal(sockets.receiveFrom(a, room, 16), -SocketError.WouldBlock);

    assert.equal(sockets.sendTo(b, bytes, 3, words, port), 3);
    bench.wait(a, SocketEvent.Readable);
    assert.equal(sockets.receiveFrom(a, room, 2), 2, "the rest is cut off");
    assert.deepEqual([...room.subarray(0, 2)], [9, 8]);

    // Nobody has the port: a socket that speaks to many does not care.
    const gone = sockets.openDatagram(family);
    assert.equal(sockets.bind(gone, { words, port: 0 }), 0);
    const nobody = sockets.localPort(gone);
    sockets.close(gone);
    assert.equal(sockets.sendTo(a, bytes, 3, words, nobody), 3);
    assert.equal(sockets.sendTo(b, bytes, 3, words, port), 3);
    bench.wait(a, SocketEvent.Readable);
    assert.equal(sockets.receiveFrom(a, room, 16), 3);
  }
}

function tellConnectedDatagrams(
  bench: SocketBench,
  { refusedDatagrams }: SocketsSubject,
): void {
  const { sockets } = bench;
  const server = bench.own(sockets.openDatagram(4));
  assert.equal(sockets.bind(server, { words: LOOPBACK4, port: 0 }), 0);
  const port = sockets.localPort(server);
  const client = bench.own(sockets.openDatagram(4));
  assert.equal(sockets.connectDatagram(client, LOOPBACK4, port), 0);
  const stranger = bench.own(sockets.openDatagram(4));
  const bytes = Uint8Array.of(1, 2, 3);
  const room = new Uint8Array(16);
  const back = sockets.localPort(client);
  sockets.sendTo(stranger, Uint8Array.of(66), 1, LOOPBACK4, back);
  assert.equal(sockets.send(client, bytes, 3), 3);
  bench.wait(server, SocketEvent.Readable);
  assert.equal(sockets.receiveFrom(server, room, 16), 3);
  assert.equal(sockets.sendTo(server, bytes, 3, LOOPBACK4, back), 3);
  bench.wait(client, SocketEvent.Readable);
  assert.equal(sockets.receive(client, room, 16), 3, "not the stranger's");
  assert.equal(sockets.receive(client, room, 16), -SocketError.WouldBlock);

  bench.end(server);
  assert.equal(sockets.send(client, bytes, 3), 3);
  if (refusedDatagrams === "silent") return;
  bench.wait(client, SocketEvent.Readable);
  const refused = -SocketError.ConnectionRefused;
  assert.equal(sockets.receive(client, room, 16), refused);
}

function tellTriggers(bench: SocketBench): void {
  const { sockets, platform } = bench;
  const [client, server] = bench.connect();
  using events = platform.openSocketEvents();
  assert.equal(events.wait(0), 0);
  assert.equal(events.add(server, SocketEvent.Readable, 0x7fff_fff1), 0);
  const byte = Uint8Array.of(1);
  sockets.send(client, byte, 1);
  for (let i = 0; i < 2; i++) {
    assert.equal(events.wait(PATIENCE_MS), 1);
    assert.equal(events.key(0), 0x7fff_fff1);
    assert.equal(events.happened(0), SocketEvent.Readable);
  }
  const edge = SocketEvent.Readable | SocketTrigger.Edge;
  assert.equal(events.change(server, edge, 5), 0);
  assert.equal(events.wait(PATIENCE_MS), 1, "what holds now is told anew");
  assert.equal(events.key(0), 5);
  assert.equal(events.wait(0), 0);
  const both = edge | SocketEvent.Writable;
  assert.equal(events.change(server, both, 6), 0);
  let told = 0;
  const all = SocketEvent.Readable | SocketEvent.Writable;
  for (let waits = 0; waits < 2 && told !== all; waits++) {
    assert.equal(events.wait(PATIENCE_MS), 1);
    assert.equal(events.key(0), 6);
    told |= events.happened(0);
  }
  assert.equal(told, all);
  assert.equal(events.wait(0), 0);
  assert.equal(events.remove(server), 0);
  sockets.send(client, byte, 1);
  assert.equal(events.wait(0), 0);
  assert.ok(events.remove(server) < 0);
  assert.ok(events.change(server, edge, 5) < 0);
}

function tellEdges(bench: SocketBench): void {
  const { sockets, platform } = bench;
  const [client, server] = bench.connect();
  using events = platform.openSocketEvents();
  const edge = SocketEvent.Readable | SocketEvent.ReadFinished |
    SocketTrigger.Edge;
  const room = new Uint8Array(64);
  assert.equal(events.add(server, edge, 1), 0);
  assert.equal(events.wait(0), 0);
  for (const length of [10, 64, 100]) {
    sockets.send(client, new Uint8Array(length), length);
    assert.equal(events.wait(PATIENCE_MS), 1, `${length} bytes`);
    let count = 0;
    for (let left = length; left > 0; left -= count) {
      count = sockets.peek(server, room, 64);
      assert.ok(count > 0);
      assert.equal(sockets.discard(server, room, count), count);
    }
    if (count === 64) {
      const nothing = sockets.receive(server, room, 64);
      assert.equal(nothing, -SocketError.WouldBlock);
    }
    assert.equal(events.wait(0), 0, "used up");
  }
  sockets.shutdownWrite(client);
  assert.equal(events.wait(PATIENCE_MS), 1);
  assert.ok((events.happened(0) & SocketEvent.ReadFinished) !== 0);
  assert.equal(sockets.receive(server, room, 64), 0);
}

function tellRoom(bench: SocketBench): void {
  const { sockets, platform } = bench;
  const [client, server] = bench.connect();
  using events = platform.openSocketEvents();
  const edge = SocketEvent.Readable | SocketEvent.Writable | SocketTrigger.Edge;
  assert.equal(events.add(client, edge, 1), 0);
  assert.equal(events.wait(PATIENCE_MS), 1);
  assert.equal(events.happened(0), SocketEvent.Writable);
  const block = new Uint8Array(1 << 16);
  let sent = 0;
  let result = 0;
  while ((result = sockets.send(client, block, block.length)) > 0) {
    sent += result;
    assert.ok(sent < 1 << 28, "buffers have an end");
  }
  assert.equal(result, -SocketError.WouldBlock);
  // What the other end has taken in meanwhile may have made room.
  let told = 0;
  for (let read = 0; read < sent;) {
    const count = sockets.receive(server, block, block.length);
    if (count === -SocketError.WouldBlock) {
      bench.wait(server, SocketEvent.Readable);
      continue;
    }
    assert.ok(count > 0);
    read += count;
    if (events.wait(0) > 0) told |= events.happened(0);
  }
  if (told === 0 && events.wait(PATIENCE_MS) > 0) told = events.happened(0);
  assert.equal(told, SocketEvent.Writable);
  assert.ok(sockets.send(client, block, block.length) > 0);
  // A reset is told although nothing more was asked for.
  bench.end(server, "reset");
  assert.equal(events.wait(PATIENCE_MS), 1);
  assert.ok((events.happened(0) & SocketEvent.Error) !== 0);
}

function tellOthers(bench: SocketBench): void {
  const { sockets, platform } = bench;
  using events = platform.openSocketEvents();
  using wake = platform.openWake();
  const listener = bench.listen();
  assert.equal(events.add(listener, SocketEvent.Readable, 1), 0);
  assert.equal(events.add(wake.descriptor, SocketEvent.Readable, 2), 0);
  assert.equal(events.wait(0), 0);
  assert.equal(events.wait(20), 0);
  wake.signal();
  wake.signal();
  for (let i = 0; i < 2; i++) {
    assert.equal(events.wait(PATIENCE_MS), 1);
    assert.equal(events.key(0), 2);
  }
  wake.drain();
  assert.equal(events.wait(0), 0);
  const port = sockets.localPort(listener);
  bench.own(sockets.connect(LOOPBACK4, port));
  assert.equal(events.wait(PATIENCE_MS), 1);
  assert.equal(events.key(0), 1);
  wake.signal();
  const keys = new Set<number>();
  for (let waits = 0; waits < 3; waits++) {
    const count = events.wait(PATIENCE_MS);
    for (let i = 0; i < count; i++) keys.add(events.key(i));
  }
  assert.deepEqual([...keys].sort(), [1, 2], "neither hides the other");
  bench.own(sockets.accept(listener));
  wake.drain();
  assert.equal(sockets.accept(listener), -SocketError.WouldBlock);
  assert.equal(events.remove(wake.descriptor), 0);
  wake.signal();
  assert.equal(events.wait(0), 0);
}

function tellClosed(bench: SocketBench): void {
  const { sockets, platform } = bench;
  using events = platform.openSocketEvents();
  const listener = bench.listen();
  const port = sockets.localPort(listener);
  const wants = SocketEvent.Readable | SocketEvent.Writable |
    SocketTrigger.Edge;
  for (let round = 0; round < 20; round++) {
    const client = sockets.connect(LOOPBACK4, port);
    assert.ok(client >= 0);
    bench.wait(listener, SocketEvent.Readable);
    const server = sockets.accept(listener);
    assert.equal(events.add(server, wants, round), 0);
    assert.equal(events.wait(PATIENCE_MS), 1);
    assert.equal(events.key(0), round, "nothing of an earlier one");
    sockets.close(server);
    sockets.close(client);
    assert.equal(events.wait(0), 0);
  }
}

function tellSpare(bench: SocketBench): void {
  const { sockets } = bench;
  const spare = bench.own(sockets.spare());
  assert.ok(spare >= 0);
  for (const error of Object.values(SocketError)) {
    assert.match(sockets.errorText(error), /^[\x20-\x7e]{5,80}$/);
    assert.equal(sockets.errorText(-error), sockets.errorText(error));
  }
  assert.match(
    sockets.errorText(-SocketError.ConnectionReset),
    /reset by peer/,
  );
  assert.match(sockets.errorText(-SocketError.TimedOut), /timed out/);
}
