import assert from "node:assert/strict";
import { ControlMessage } from "../../src/core/columns/control_message.ts";
import { Direction } from "../../src/core/columns/counters.ts";
import { DropReason } from "../../src/core/columns/drop_reason.ts";
import { Verdict } from "../../src/core/columns/verdict.ts";
import {
  Gateway,
  gatewayConfig,
  SendFailure,
} from "../../src/core/engine/gateway.ts";
import { PointToPoint } from "../../src/core/engine/point_to_point.ts";
import { parseEndpoint, parsePrefix } from "../../src/core/wire/address.ts";
import { MAX_ERROR_4 } from "../../src/core/wire/icmp_error.ts";
import {
  OpenPump,
  TICK_MS,
  type TunnelEngine,
} from "../../src/datapath/open_pump.ts";
import {
  type Pump,
  runInTurns,
  runPumps,
} from "../../src/datapath/pump_loop.ts";
import { SealPump } from "../../src/datapath/seal_pump.ts";
import { Turnstile } from "../../src/datapath/turnstile.ts";
import { Ready } from "../../src/io/ports.ts";
import { echoPacket, tcpPacket, udpPacket } from "../core/flow/packets.ts";
import { connect, from, TestEnd } from "./end.ts";
import {
  FakePoller,
  type ReadySocket,
  rowBytes,
  type Wakeup,
} from "./fakes.ts";

const A = "10.8.0.2";
const C = "10.8.0.3";
const GATEWAY = "10.8.0.1";
const A_AT = "192.0.2.1:1000";
const C_AT = "192.0.2.3:3000";
const OUTSIDE = "203.0.113.5";

/** A gateway with both its pumps, and two clients: A is its peer 5, C its peer 6. */
class World {
  readonly a = new TestEnd(1);
  readonly c = new TestEnd(3);
  readonly end = new TestEnd(2);
  readonly openPump: OpenPump;
  readonly openEngine: Gateway;
  readonly #sealEngine: Gateway;

  constructor() {
    const { a, c, end } = this;
    a.addPeer(0, ["0.0.0.0/0"], "192.0.2.9:9");
    c.addPeer(0, ["0.0.0.0/0"], "192.0.2.9:9");
    end.addPeer(5, [`${A}/32`], A_AT);
    end.addPeer(6, [`${C}/32`], C_AT);
    connect([a, 0], [end, 5]);
    connect([c, 0], [end, 6]);
    const config = gatewayConfig({
      address4: 0x0a080001,
      subnets: [parsePrefix("10.8.0.0/24")!],
    });
    const { allowedIps, nat, rings, nextTick } = end.tables;
    const state = new SharedArrayBuffer(Gateway.stateBytes(config));
    const shared = { config, nat: nat!, allowedIps, state };
    const { open } = end;
    this.openEngine = new Gateway({ ...shared, sockets: open.outside });
    this.#sealEngine = new Gateway(shared);
    nextTick[0] = end.now + TICK_MS;
    this.openPump = new OpenPump({
      socket: open.socket,
      opener: open.opener,
      engine: this.openEngine,
      dispatcher: open.dispatcher({
        outside: {
          port: open.outside,
          nat: nat!,
          failed: (batch, row) =>
            this.openEngine.sendFailed(batch, row, SendFailure.TooBig, 1280),
        },
      }),
      counters: open.counters,
      batch: open.batch,
      commands: rings[0],
      nextTick,
    });
  }

  /** Runs the open pump on packets of A. */
  fromA(...packets: Uint8Array[]): void {
    const { end } = this;
    const datagrams = from(this.a.sealFor(0, ...packets), A_AT);
    end.open.socket.inbox.push(...datagrams);
    this.runOpen([{ ready: Ready.Tunnel }]);
  }

  runOpen(script: Wakeup[]): FakePoller {
    const { tables, now } = this.end;
    Atomics.store(tables.stop, 0, 0);
    const poller = new FakePoller(tables.stop, script);
    const options = { poller, now: () => now, stop: tables.stop };
    runPumps([this.openPump], options);
    return poller;
  }

  runSeal(script: Wakeup[]): void {
    const { end } = this;
    const { tables, seal, now } = end;
    Atomics.store(tables.stop, 0, 0);
    const poller = new FakePoller(tables.stop, script);
    const engine = this.#sealEngine;
    const pump = new SealPump({
      poller,
      engine,
      sealer: seal.sealer,
      dispatcher: seal.dispatcher({ tun: "none" }),
      counters: seal.counters,
      batch: seal.batch,
      tun: seal.tun,
      outside: { port: seal.outside, nat: tables.nat!, engine },
    });
    runPumps([pump], { poller, now: () => now, stop: tables.stop });
  }

  /** Where the mapping for A's port leads outside. */
  mapping(index = 0): ReadySocket & { port: number } {
    const { row, port } = this.end.open.outside.opened[index];
    return { row, port, handle: 10 + index };
  }
}

/** What a client opens of the datagrams that a worker sent to it, each cut to its own length. */
function opened(
  client: TestEnd,
  sent: { port: number; bytes: Uint8Array; words: Int32Array }[],
  port: number,
): Uint8Array[] {
  const own = sent.filter((one) => one.port === port);
  const batch = client.receive(...from(own, "192.0.2.9:9"));
  return Array.from({ length: batch.count }, (_, row) => {
    assert.equal(batch.verdict[row], Verdict.Undecided);
    const bytes = rowBytes(batch, row);
    return bytes.slice(0, bytes[2] * 256 + bytes[3]);
  });
}

const words = (text: string) =>
  Int32Array.from(parseEndpoint(`${text}:1`)!.words);

Deno.test("one train of a client goes everywhere at once", () => {
  const world = new World();
  const { end, a, c } = world;
  const dns = udpPacket({ from: A, to: GATEWAY, fromPort: 4000, toPort: 53 });
  const toHost = tcpPacket({
    from: A,
    to: GATEWAY,
    fromPort: 4000,
    toPort: 22,
  });
  const toC = udpPacket({ from: A, to: C, fromPort: 1, toPort: 2 }, [7, 8]);
  world.fromA(
    echoPacket({ from: A, to: GATEWAY, id16: 1 }),
    udpPacket({ from: A, to: OUTSIDE, fromPort: 4000, toPort: 53 }, [1, 2, 3]),
    toC,
    toHost,
    dns,
    echoPacket({ from: A, to: OUTSIDE, id16: 99 }),
    udpPacket({ from: C, to: OUTSIDE, fromPort: 1, toPort: 2 }),
    tcpPacket({ from: A, to: OUTSIDE, fromPort: 1, toPort: 80 }),
  );
  const { sent } = end.open.socket;
  const [echo, reset] = opened(a, sent, 1000);
  assert.equal(echo[20], 0, "an echo reply");
  assert.deepEqual([...echo.slice(12, 20)], [10, 8, 0, 1, 10, 8, 0, 2]);
  assert.equal(reset[9], 6);
  assert.equal(reset[33] & 4, 4, "RST");
  const [relayed] = opened(c, sent, 3000);
  assert.equal(relayed[8], toC[8] - 1, "one hop less");
  assert.deepEqual(relayed.slice(20), toC.slice(20));
  const outside = end.open.outside.sent;
  assert.deepEqual([...outside[0].bytes], [1, 2, 3]);
  assert.deepEqual(outside[0].words, words(OUTSIDE));
  assert.equal(outside[0].port, 53);
  assert.equal(outside[1].bytes[0], 8, "an echo request");
  assert.deepEqual(end.open.tun.written, [toHost]);
  const told = end.open.told().filter(({ kind }) =>
    kind === ControlMessage.Packet
  );
  assert.deepEqual(told.map(({ a, bytes }) => [a, bytes]), [[5, dns]]);
  const { traffic, drops } = end.open.counters.snapshot();
  assert.equal(traffic.FromTunnel.packets, 8);
  assert.equal(traffic.ToTunnel.packets, 3);
  assert.equal(traffic.ToOutside.packets, 2);
  assert.equal(traffic.ToHost.packets, 1);
  assert.deepEqual(drops, { "spoofed source": 1, "TCP rejected by policy": 1 });
});

Deno.test("a datagram that the outside refuses comes back as an ICMP error", () => {
  const world = new World();
  const packet = udpPacket(
    { from: A, to: OUTSIDE, fromPort: 4000, toPort: 53, dontFragment: true },
    Array(100).fill(1),
  );
  world.fromA(packet);
  world.end.open.outside.broken.set(10, 90);
  world.end.open.socket.sent.length = 0;
  world.fromA(packet);
  const [error] = opened(world.a, world.end.open.socket.sent, 1000);
  assert.deepEqual([...error.slice(20, 22)], [3, 4], "fragmentation needed");
  assert.equal(world.end.open.counters.drops(DropReason.TooBig), 1);
});

Deno.test("an answer from outside, and one to another mapping, go to their clients", () => {
  const world = new World();
  const { end, a } = world;
  world.fromA(
    udpPacket({ from: A, to: OUTSIDE, fromPort: 4000, toPort: 53 }),
    udpPacket({ from: A, to: OUTSIDE, fromPort: 4001, toPort: 53 }),
  );
  const sockets = [world.mapping(0), world.mapping(1)];
  const payload = Uint8Array.of(9, 9, 9);
  for (const { handle } of sockets) {
    const datagram = { bytes: payload, words: words(OUTSIDE), port: 53 };
    end.seal.outside.inbox.set(handle, [datagram, datagram]);
  }
  world.runSeal([{ ready: Ready.Outside, sockets }]);
  const answers = opened(a, end.seal.socket.sent, 1000);
  assert.equal(answers.length, 4);
  const ports = answers.map((packet) => packet[22] * 256 + packet[23]);
  assert.deepEqual(ports.sort(), [4000, 4000, 4001, 4001]);
  for (const packet of answers) {
    assert.deepEqual([...packet.slice(28)], [9, 9, 9]);
    assert.equal(packet[8], 59, "one hop less");
  }
  assert.equal(end.seal.counters.packets(Direction.FromOutside), 4);
  assert.equal(end.seal.counters.packets(Direction.ToTunnel), 4);
});

Deno.test("errors of a socket are taken before its datagrams", () => {
  const world = new World();
  const { end, a } = world;
  world.fromA(udpPacket({ from: A, to: OUTSIDE, fromPort: 4000, toPort: 53 }));
  const { handle, row } = world.mapping();
  const { outside } = end.seal;
  outside.errors.set(handle, [
    { type: 3, code: 3, destination: words(OUTSIDE), destinationPort: 53 },
    { type: 3, code: 1, destination: words(OUTSIDE), destinationPort: 53 },
  ]);
  const bytes = Uint8Array.of(1);
  outside.inbox.set(handle, [{ bytes, words: words(OUTSIDE), port: 53 }]);
  const sockets = [{ row, handle, error: true }];
  world.runSeal([{ ready: Ready.Outside, sockets }]);
  const got = opened(a, end.seal.socket.sent, 1000);
  assert.deepEqual(got.map((packet) => packet[9]), [1, 1, 17]);
  assert.deepEqual(got.slice(0, 2).map((packet) => packet[21]), [3, 1]);
  assert.ok(got[0].length <= MAX_ERROR_4);
});

Deno.test("a socket that is gone when its row says so is closed at the wake", () => {
  const world = new World();
  const { end } = world;
  world.fromA(udpPacket({ from: A, to: OUTSIDE, fromPort: 4000, toPort: 53 }));
  world.openEngine.removePeer(5);
  const { outside } = end.seal;
  outside.retired.push(...end.open.outside.retired.splice(0));
  assert.equal(outside.retired.length, 1);
  let freed = -1;
  const nat = end.tables.nat!;
  nat.markFree = (row: number) => freed = row;
  const { handle, row } = world.mapping();
  const datagram = { bytes: Uint8Array.of(1), words: words(OUTSIDE), port: 53 };
  outside.inbox.set(handle, [datagram]);
  world.runSeal([{
    ready: Ready.Outside | Ready.Wake,
    sockets: [{ row, handle }],
  }]);
  assert.equal(freed, row);
  assert.equal(end.seal.socket.sent.length, 0);
});

Deno.test("the host's packets go to the peer of their destination", () => {
  const world = new World();
  const { end, a, c } = world;
  const forA = udpPacket({ from: GATEWAY, to: A, fromPort: 1, toPort: 2 }, [1]);
  const forC = udpPacket({ from: GATEWAY, to: C, fromPort: 1, toPort: 2 }, [2]);
  const nobody = udpPacket({
    from: GATEWAY,
    to: "10.8.0.99",
    fromPort: 1,
    toPort: 2,
  });
  end.seal.tun.inbox.push([forA, forC], [nobody, forA]);
  world.runSeal([{ ready: Ready.Tun }]);
  const { sent } = end.seal.socket;
  assert.deepEqual(opened(a, sent, 1000), [forA, forA]);
  assert.deepEqual(opened(c, sent, 3000), [forC]);
  assert.equal(end.seal.counters.packets(Direction.FromHost), 4);
  assert.equal(end.seal.counters.drops(DropReason.NoPeer), 1);
});

Deno.test("a device that has no end gives the outside its turn", () => {
  const world = new World();
  const { end, a } = world;
  world.fromA(udpPacket({ from: A, to: OUTSIDE, fromPort: 4000, toPort: 53 }));
  const { handle, row } = world.mapping();
  const datagram = { bytes: Uint8Array.of(1), words: words(OUTSIDE), port: 53 };
  end.seal.outside.inbox.set(handle, [datagram]);
  const packet = udpPacket({ from: GATEWAY, to: A, fromPort: 1, toPort: 2 });
  end.seal.tun.inbox.push(...Array.from({ length: 100 }, () => [packet]));
  const ready = Ready.Tun | Ready.Outside;
  world.runSeal([{ ready, sockets: [{ row, handle }] }]);
  const sources = opened(a, end.seal.socket.sent, 1000).map((one) => one[12]);
  assert.equal(sources.filter((first) => first === 203).length, 1);
  const host = sources.filter((first) => first === 10).length;
  assert.ok(host > 0 && host < 10, `${host} of the host's`);
});

Deno.test("an interface that was removed ends the pump with its name", () => {
  const world = new World();
  world.end.seal.tun.gone = true;
  assert.throws(
    () => world.runSeal([{ ready: Ready.Tun }]),
    /the interface test0 was removed/,
  );
});

/** An engine that notes what it is asked. */
class NotingEngine implements TunnelEngine {
  readonly ticks: number[] = [];
  readonly removed: number[] = [];
  readonly #inner: PointToPoint;

  constructor(end: TestEnd) {
    this.#inner = new PointToPoint(end.tables.allowedIps);
  }

  fromTunnel(...args: Parameters<PointToPoint["fromTunnel"]>): void {
    this.#inner.fromTunnel(...args);
  }

  tick(now: number): void {
    this.ticks.push(now);
  }

  removePeer(peer: number): void {
    this.removed.push(peer);
  }
}

/** An open pump over an engine that notes, its clock in the test's hand. */
function noting() {
  const end = new TestEnd(2);
  const engine = new NotingEngine(end);
  const { open, tables } = end;
  tables.nextTick[0] = end.now + TICK_MS;
  const pump = new OpenPump({
    socket: open.socket,
    opener: open.opener,
    engine,
    dispatcher: open.dispatcher(),
    counters: open.counters,
    batch: open.batch,
    commands: tables.rings[0],
    nextTick: tables.nextTick,
  });
  const run = (...script: Wakeup[]) => {
    Atomics.store(tables.stop, 0, 0);
    const poller = new FakePoller(tables.stop, script);
    runPumps([pump], { poller, now: () => end.now, stop: tables.stop });
    return poller;
  };
  return { end, engine, run, pump };
}

Deno.test("the engine's tick comes once a second, whether or not packets do", () => {
  const { end, engine, run } = noting();
  const start = end.now;
  const wait = (ms: number) => ({ ready: 0, before: () => end.now += ms });
  const poller = run(wait(400), wait(600), wait(1), wait(2500), wait(999));
  assert.deepEqual(engine.ticks, [start + 1000, start + 3501]);
  assert.deepEqual(poller.timeouts, [1000, 600, 1000, 999, 1000]);
});

Deno.test("commands are obeyed at the wake", () => {
  const { end, engine, run } = noting();
  const none = new Uint8Array(0);
  const ring = end.tables.rings[0];
  for (const peer of [4, 7]) {
    ring.tryWrite(ControlMessage.PeerRemoved, peer, 0, none, 0, 0);
  }
  const bytes = new Uint8Array(40);
  end.open.socket.inbox.push({ bytes, words: new Int32Array(4), port: 1 });
  run({ ready: Ready.Tunnel });
  assert.deepEqual(engine.removed, []);
  run({ ready: Ready.Wake });
  assert.deepEqual(engine.removed, [4, 7]);
});

Deno.test("an engine without a tick is not woken", () => {
  const end = new TestEnd(2);
  const { open, tables } = end;
  const pump = new OpenPump({
    socket: open.socket,
    opener: open.opener,
    engine: new PointToPoint(tables.allowedIps),
    dispatcher: open.dispatcher(),
    counters: open.counters,
    batch: open.batch,
    commands: tables.rings[0],
    nextTick: tables.nextTick,
  });
  const poller = new FakePoller(tables.stop, [{ ready: 0 }]);
  runPumps([pump], { poller, now: () => end.now, stop: tables.stop });
  assert.deepEqual(poller.timeouts, [-1]);
});

Deno.test("a client's end: what peers send goes to the host, the host's to the peer", () => {
  const a = new TestEnd(1), b = new TestEnd(2);
  a.addPeer(3, ["0.0.0.0/0"], "192.0.2.2:2000");
  b.addPeer(5, ["10.0.0.1/32"]);
  connect([a, 3], [b, 5]);
  const engine = new PointToPoint(a.tables.allowedIps);
  const poller = new FakePoller(a.tables.stop, [{ ready: Ready.Tun }]);
  const { seal } = a;
  const packets = [1, 2, 3].map((n) =>
    udpPacket(
      { from: "10.0.0.1", to: "198.51.100.1", fromPort: n, toPort: n },
      Array(n * 100).fill(n),
    )
  );
  seal.tun.inbox.push(packets);
  const pump = new SealPump({
    poller,
    engine,
    sealer: seal.sealer,
    dispatcher: seal.dispatcher({ tun: "none" }),
    counters: seal.counters,
    batch: seal.batch,
    tun: seal.tun,
    outside: undefined,
  });
  const now = () => a.now;
  runPumps([pump], { poller, now, stop: a.tables.stop });
  const spoofed = udpPacket({
    from: "10.0.0.7",
    to: "198.51.100.1",
    fromPort: 1,
    toPort: 1,
  });
  const { open, tables } = b;
  open.socket.inbox.push(
    ...from(seal.socket.sent, A_AT),
    ...from(a.sealFor(3, spoofed), A_AT),
  );
  const openPump = new OpenPump({
    socket: open.socket,
    opener: open.opener,
    engine: new PointToPoint(tables.allowedIps),
    dispatcher: open.dispatcher(),
    counters: open.counters,
    batch: open.batch,
    commands: tables.rings[0],
    nextTick: tables.nextTick,
  });
  const other = new FakePoller(tables.stop, [{ ready: Ready.Tunnel }]);
  // The same by the loop of several threads, here with one.
  runInTurns(
    openPump,
    new Turnstile(new SharedArrayBuffer(Turnstile.byteLength)),
    { poller: other, now, stop: tables.stop },
  );
  assert.deepEqual(open.tun.written, packets);
  assert.equal(open.counters.drops(DropReason.SpoofedSource), 1);
});

Deno.test("pumps that share a thread both get what was ready", () => {
  const log: string[] = [];
  const stop = new Int32Array(new SharedArrayBuffer(4));
  const pump = (name: string, batches: number, deadline: number): Pump => {
    let left = 0;
    return {
      deadline,
      alone: true,
      notice: (ready) => {
        log.push(`${name} notices ${ready}`);
        left = batches;
      },
      take: () => left-- > 0,
      work: () => log.push(`${name} works`),
      finish: () => log.push(`${name} finishes`),
    };
  };
  const poller = new FakePoller(stop, [{ ready: 5 }]);
  runPumps([pump("a", 2, 1500), pump("b", 1, Infinity)], {
    poller,
    now: () => 1000.25,
    stop,
  });
  const once = (name: string) => [`${name} works`, `${name} finishes`];
  assert.deepEqual(log, [
    "a notices 5",
    ...once("a"),
    ...once("a"),
    "b notices 5",
    ...once("b"),
  ]);
  assert.deepEqual(poller.timeouts, [500]);
});
