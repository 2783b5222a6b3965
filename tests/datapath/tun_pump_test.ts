/** The pump of a TUN stack over ports without a system behind them. */
import assert from "node:assert/strict";
import { Batch } from "../../src/core/columns/batch.ts";
import { ControlMessage } from "../../src/core/columns/control_message.ts";
import { Direction } from "../../src/core/columns/counters.ts";
import {
  DropReason,
  dropReasonText,
} from "../../src/core/columns/drop_reason.ts";
import { RelayMessage } from "../../src/core/columns/relay_message.ts";
import { gatewayConfig } from "../../src/core/engine/gateway_config.ts";
import { SendFailure } from "../../src/core/engine/outside_error.ts";
import { TCP_RELAY_DEFAULTS } from "../../src/core/engine/tcp_relay_config.ts";
import { TunStack } from "../../src/core/engine/tun_stack.ts";
import { RedirectState } from "../../src/core/flow/redirect_table.ts";
import { parsePrefix } from "../../src/core/wire/address.ts";
import { DropTrace } from "../../src/datapath/drop_trace.ts";
import { runPumps } from "../../src/datapath/pump_loop.ts";
import { RelayLink } from "../../src/datapath/relay_link.ts";
import { TunPump } from "../../src/datapath/tun_pump.ts";
import {
  attachTunTables,
  createTunState,
} from "../../src/datapath/tun_state.ts";
import { Ready } from "../../src/io/ports.ts";
import { addressWords, pattern, udpPacket } from "../core/flow/packets.ts";
import { ACK, readSegment, RST, segment, SYN } from "../core/flow/segments.ts";
import { FakeOutside, FakePoller, FakeTun, type Wakeup } from "./fakes.ts";

const HOST = "10.0.0.1";
const SITE = "203.0.113.7";
const ENDS = { from: HOST, to: SITE, fromPort: 40_000, toPort: 443 };
const DATAGRAM = { ...ENDS, toPort: 53 };
const TUN_AREA = { start: 0, end: 200_000 };
const OUTSIDE_AREA = { start: 200_000, end: 400_000 };

/** A stack with its pump; what it tells others is kept. */
class PumpWorld {
  readonly tables;
  readonly bytes = new Uint8Array(600_000);
  readonly tun = new FakeTun(this.bytes, TUN_AREA, {
    headroom: 16,
    tailroom: 0,
  });
  readonly outside = new FakeOutside(this.bytes, OUTSIDE_AREA);
  readonly stack: TunStack;
  readonly wakes = { count: 0 };
  readonly #relay: RelayLink;
  now = 1_000_000;

  constructor(options: { udp?: "sockets" | "relay"; ringBytes?: number } = {}) {
    const { udp = "sockets", ringBytes = 1 << 16 } = options;
    this.tables = attachTunTables(createTunState({
      nat: { capacity: 16, peers: 1, remotes: 8 },
      redirects: { capacity: 16, peers: 1, generations: 8 },
      relayRingBytes: ringBytes,
      traceRingBytes: 1 << 12,
    }));
    const { redirects, nat, relayRing, verdicts } = this.tables;
    this.#relay = new RelayLink(relayRing, {
      descriptor: -1,
      signal: () => this.wakes.count++,
      drain: () => {},
      [Symbol.dispose]: () => {},
    }, redirects);
    this.stack = new TunStack({
      config: {
        gateway: gatewayConfig({
          address4: 0xc612fefe,
          mtu: 1500,
          tcp: "proxy",
          relay: {
            ...TCP_RELAY_DEFAULTS,
            ipv4: { address: parsePrefix("198.18.254.1/24")!, port: 7004 },
            ipv6: undefined,
          },
        }),
        udp,
        echo: "answer",
      },
      redirects,
      commands: this.#relay,
      nat,
      sockets: this.outside,
      counters: verdicts,
    });
  }

  /** Runs the pump over a script of wakeups. */
  run(...script: Wakeup[]): FakePoller {
    const { tables, tun, stack, outside } = this;
    Atomics.store(tables.stop, 0, 0);
    const poller = new FakePoller(tables.stop, script);
    const pump = new TunPump({
      poller,
      tun,
      stack,
      outside: {
        port: outside,
        nat: tables.nat,
        failed: (batch, row) =>
          stack.sendFailed(batch, row, SendFailure.HostUnreachable, 0),
      },
      relay: this.#relay,
      counters: tables.counters,
      trace: new DropTrace(tables.traceRing),
      batch: new Batch({
        bytes: this.bytes,
        capacity: 64,
        spareStart: 400_000,
        spareEnd: 600_000,
        headroom: 64,
        tailroom: 0,
      }),
    });
    runPumps([pump], { poller, now: () => this.now, stop: tables.stop });
    return poller;
  }

  /** Lets programs send, and the pump take it. */
  send(...packets: Uint8Array[]): void {
    this.tun.inbox.push(packets);
    this.run({ ready: Ready.Tun });
  }

  /** Kinds and rows of what the relay was told. */
  told(): [kind: number, row: number][] {
    const all: [number, number][] = [];
    this.tables.relayRing.read((kind, row) => all.push([kind, row]));
    return all;
  }

  drops(reason: DropReason): number {
    return this.tables.counters.drops(reason);
  }
}

Deno.test("a SYN goes to the relay, one wake for a batch; data back into the interface", () => {
  const world = new PumpWorld();
  const second = { ...ENDS, fromPort: 40_001 };
  world.send(
    segment({ ...ENDS, flags: SYN }),
    segment({ ...second, flags: SYN }),
  );
  const told = world.told();
  assert.deepEqual(told.map(([kind]) => kind), [
    RelayMessage.Dial,
    RelayMessage.Dial,
  ]);
  assert.equal(world.wakes.count, 1);
  const { redirects } = world.tables;
  const [[, row]] = told;
  redirects.settle(row, redirects.generationOf(row), RedirectState.Open);
  world.send(segment({ ...ENDS, flags: ACK, seq: 1, data: pattern(99) }));
  assert.equal(world.tun.written.length, 1);
  const passed = readSegment([...world.tun.written[0]]);
  assert.deepEqual([passed.to, passed.toPort], ["198.18.254.1", 7004]);
  assert.equal(world.tables.counters.packets(Direction.FromHost), 3);
  assert.equal(world.tables.counters.packets(Direction.ToHost), 1);
});

Deno.test("where the relay's ring is full, a SYN is dropped and the next one begins anew", () => {
  const world = new PumpWorld({ ringBytes: 256 });
  const syn = segment({ ...ENDS, flags: SYN });
  for (const fromPort of [1, 2, 3]) {
    world.send(segment({ ...ENDS, fromPort, flags: SYN }));
  }
  world.send(syn);
  assert.ok(world.drops(DropReason.RelayQueueFull) > 0);
  assert.equal(world.drops(DropReason.TcpHeld), 0);
  world.told();
  world.send(syn);
  assert.equal(world.told().length, 1);
});

Deno.test("UDP for a proxy goes whole to the relay; what finds no room is counted", () => {
  const world = new PumpWorld({ udp: "relay", ringBytes: 256 });
  const packet = udpPacket(DATAGRAM, pattern(40));
  for (let n = 0; n < 5; n++) world.send(packet);
  const told = world.told();
  assert.ok(told.every(([kind]) => kind === RelayMessage.Udp));
  assert.equal(
    told.length + world.drops(DropReason.RelayQueueFull),
    5,
  );
  assert.ok(told.length > 0 && told.length < 5);
});

Deno.test("UDP by a socket of its own: out, and its answer back", () => {
  const world = new PumpWorld();
  world.send(udpPacket(DATAGRAM, [1, 2, 3]));
  const [sent] = world.outside.sent;
  assert.deepEqual([...sent.bytes], [1, 2, 3]);
  world.outside.inbox.set(sent.handle, [
    { bytes: Uint8Array.of(4, 5), words: addressWords(SITE), port: 53 },
  ]);
  world.run({
    ready: Ready.Outside,
    sockets: [{ row: 0, handle: sent.handle }],
  });
  const [answer] = world.tun.written;
  assert.deepEqual([...answer.subarray(28)], [4, 5]);
  assert.equal(world.tables.counters.packets(Direction.FromOutside), 1);
});

Deno.test("what a socket can't send, the program hears of", () => {
  const world = new PumpWorld();
  const packet = udpPacket(DATAGRAM, [1, 2, 3]);
  world.send(packet);
  world.outside.broken.set(world.outside.sent[0].handle, 113);
  world.send(packet);
  assert.equal(world.drops(DropReason.SendFailed), 1);
  const [error] = world.tun.written;
  assert.deepEqual([...error.subarray(20, 22)], [3, 1]);
  assert.deepEqual([...error.subarray(28)], [...packet]);
});

Deno.test("an ICMP error about a datagram reaches its program", () => {
  const world = new PumpWorld();
  world.send(udpPacket(DATAGRAM, [1, 2, 3]));
  const { handle } = world.outside.sent[0];
  world.outside.errors.set(handle, [{
    type: 3,
    code: 3,
    family: 4,
    offender: addressWords(SITE),
    destination: addressWords(SITE),
    destinationPort: 53,
  }]);
  world.run({
    ready: Ready.Outside,
    sockets: [{ row: 0, handle, error: true }],
  });
  const [error] = world.tun.written;
  assert.deepEqual([...error.subarray(20, 22)], [3, 3]);
});

Deno.test("a segment of nobody's gets a RST, and is shown", () => {
  const world = new PumpWorld();
  world.send(segment({ ...ENDS, flags: ACK, ack: 7 }));
  assert.equal(readSegment([...world.tun.written[0]]).flags, RST);
  assert.equal(world.drops(DropReason.TcpNoConnection), 1);
  const shown: string[] = [];
  world.tables.traceRing.read((kind, reason) => {
    assert.equal(kind, ControlMessage.Drop);
    shown.push(dropReasonText(reason));
  });
  assert.deepEqual(shown, ["no TCP connection"]);
});

Deno.test("ticks come once a second, and end idle mappings and sockets", () => {
  const world = new PumpWorld();
  world.send(udpPacket(DATAGRAM));
  assert.equal(world.tables.nat.size, 1);
  const later = (ms: number) => () => void (world.now += ms);
  const { timeouts } = world.run(
    { ready: 0 },
    { ready: 0, before: later(400) },
    { ready: 0, before: later(301_000) },
    { ready: Ready.Wake, before: later(10) },
    { ready: 0, before: later(1000) },
  );
  assert.deepEqual(timeouts.slice(0, 3), [0, 1000, 600]);
  assert.equal(world.tables.nat.size, 0);
  assert.equal(world.outside.live.size, 0);
});

Deno.test("an interface that was removed ends the worker", () => {
  const world = new PumpWorld();
  world.tun.gone = true;
  assert.throws(() => world.run({ ready: Ready.Tun }), /test0 was removed/);
});

Deno.test("without a ring nothing is shown, and so many a second with one", () => {
  const batch = new Batch({
    bytes: new Uint8Array(200),
    capacity: 4,
    spareStart: 100,
    spareEnd: 200,
    headroom: 0,
    tailroom: 0,
  });
  batch.push(0, 40, -1);
  assert.equal(new DropTrace(undefined).dropped(batch, 0, 1, 0), false);
  const { traceRing } = attachTunTables(createTunState({
    nat: { capacity: 1, peers: 1, remotes: 8 },
    redirects: { capacity: 1, peers: 1, generations: 1 },
    relayRingBytes: 64,
    traceRingBytes: 1 << 16,
  }));
  const trace = new DropTrace(traceRing);
  const shown = (now: number) =>
    Array.from({ length: 80 }, () => trace.dropped(batch, 0, 1, now))
      .filter(Boolean).length;
  assert.deepEqual([shown(1000), shown(1500), shown(2000)], [50, 0, 50]);
});
