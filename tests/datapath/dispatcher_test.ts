import assert from "node:assert/strict";
import type { Batch } from "../../src/core/columns/batch.ts";
import { ControlMessage } from "../../src/core/columns/control_message.ts";
import { Direction } from "../../src/core/columns/counters.ts";
import { DropReason } from "../../src/core/columns/drop_reason.ts";
import { Verdict } from "../../src/core/columns/verdict.ts";
import { parseEndpoint } from "../../src/core/wire/address.ts";
import { pattern } from "../core/flow/packets.ts";
import { connect, type EndOptions, from, ROWS, TestEnd } from "./end.ts";
import { rowBytes } from "./fakes.ts";

const C_AT = "192.0.2.3:3000";

/** B is a gateway with two peers: A (5) and C (6). */
function triangle(options: EndOptions = {}) {
  const a = new TestEnd(1), b = new TestEnd(2, options), c = new TestEnd(3);
  a.addPeer(0, [], "192.0.2.9:9");
  b.addPeer(5, ["10.0.0.1/32"], "192.0.2.1:1000");
  b.addPeer(6, ["10.0.0.3/32"], C_AT);
  c.addPeer(0, [], "192.0.2.9:9");
  connect([a, 0], [b, 5]);
  connect([c, 0], [b, 6]);
  return { a, b, c };
}

const packetOf = (length: number) => Uint8Array.from(pattern(length, length));

/** What B opens of packets that A sends, back to back as in a train. */
function received(a: TestEnd, b: TestEnd, packets: Uint8Array[]): Batch {
  const batch = b.receive(...from(a.sealFor(0, ...packets), "192.0.2.1:1000"));
  b.open.told();
  return batch;
}

/** What an end opens of datagrams that were sent to it. */
function openedBy(end: TestEnd, datagrams: Parameters<typeof from>[0]) {
  const batch = end.receive(...from(datagrams, "192.0.2.9:9"));
  return Array.from({ length: batch.count }, (_, row) => {
    assert.equal(batch.verdict[row], Verdict.Undecided);
    return rowBytes(batch, row);
  });
}

/** Appends rows with the verdict to B's open batch. */
function rows(b: TestEnd, verdict: Verdict, lengths: number[], target = 0) {
  const { batch, bytes } = b.open;
  batch.clear();
  for (const length of lengths) {
    const row = batch.append(length, 5);
    bytes.set(packetOf(length), batch.offset[row]);
    batch.decide(row, verdict, target);
  }
  return batch;
}

Deno.test("rows for the host are written in order, and counted", () => {
  const { b } = triangle();
  const batch = rows(b, Verdict.ToHost, [30, 40, 50]);
  b.open.dispatcher().dispatch(batch, b.now);
  assert.deepEqual(b.open.tun.written, [30, 40, 50].map(packetOf));
  assert.equal(b.open.counters.packets(Direction.ToHost), 3);
  assert.equal(b.open.counters.bytes(Direction.ToHost), 120);
  b.open.tun.refuse = 2;
  b.open.dispatcher().dispatch(rows(b, Verdict.ToHost, [1, 2, 3]), b.now);
  assert.equal(b.open.counters.drops(DropReason.HostDeviceFull), 2);
});

Deno.test("a train that goes to a peer, the host and nowhere arrives whole, each packet", () => {
  const { a, b, c } = triangle();
  const random = a.random;
  for (let round = 0; round < 30; round++) {
    const lengths = Array.from(
      { length: 1 + random.below(60) },
      () => 16 + random.below(300),
    );
    const packets = lengths.map(packetOf);
    const batch = received(a, b, packets);
    const ways = lengths.map(() => random.below(3));
    ways.forEach((way, row) => {
      batch.length[row] = lengths[row];
      if (way === 0) batch.decide(row, Verdict.ToPeer, 6);
      else if (way === 1) batch.decide(row, Verdict.ToHost, 0);
      else batch.drop(row, DropReason.NoPeer);
    });
    b.open.dispatcher().dispatch(batch, b.now);
    const going = (way: number) => packets.filter((_, i) => ways[i] === way);
    assert.deepEqual(b.open.tun.written.splice(0), going(1));
    const sent = b.open.socket.sent.splice(0);
    assert.ok(sent.every(({ port }) => port === 3000));
    const arrived = openedBy(c, sent);
    going(0).forEach((packet, i) => {
      assert.deepEqual(arrived[i].slice(0, packet.length), packet);
      assert.ok(arrived[i].slice(packet.length).every((byte) => byte === 0));
    });
    assert.equal(arrived.length, going(0).length);
  }
});

Deno.test("a batch full of packets for peers is relayed without loss", () => {
  const { a, b, c } = triangle();
  const count = ROWS - (ROWS >> 3);
  const packets = Array.from({ length: count }, () => packetOf(200));
  const batch = received(a, b, packets);
  for (let row = 0; row < count; row++) batch.decide(row, Verdict.ToPeer, 6);
  b.open.dispatcher().dispatch(batch, b.now);
  assert.equal(openedBy(c, b.open.socket.sent).length, count);
  assert.deepEqual(b.open.counters.snapshot().drops, {});
});

Deno.test("where there is no room for a copy the packet is dropped, and no other", () => {
  const { a, b, c } = triangle({ spare: 4096, trace: true });
  const packets = Array.from({ length: 10 }, () => packetOf(1000));
  const batch = received(a, b, packets);
  for (let row = 0; row < 10; row++) {
    batch.decide(row, row < 8 ? Verdict.ToPeer : Verdict.ToHost, 6);
  }
  b.open.dispatcher().dispatch(batch, b.now);
  assert.equal(openedBy(c, b.open.socket.sent).length, 3);
  assert.equal(b.open.tun.written.length, 2);
  assert.equal(b.open.counters.drops(DropReason.BatchFull), 5);
  const drops = b.open.told().filter(({ kind }) =>
    kind === ControlMessage.Drop
  );
  assert.equal(drops.length, 5);
  assert.equal(drops[0].a, DropReason.BatchFull);
  assert.equal(drops[0].b, 5);
  assert.deepEqual(drops[0].bytes, packetOf(1000).slice(0, 96));
});

Deno.test("rows that the seal worker has sealed are sent as they are", () => {
  const { b, c } = triangle();
  const { batch, sealer, tun, socket, counters } = b.seal;
  tun.inbox.push([packetOf(100), packetOf(200), packetOf(300)]);
  tun.read(batch);
  batch.decide(0, Verdict.ToPeer, 6);
  batch.drop(1, DropReason.NoPeer);
  batch.decide(2, Verdict.ToPeer, 6);
  sealer.reserve(batch, b.now);
  sealer.encrypt(batch);
  b.seal.dispatcher().dispatch(batch, b.now);
  const arrived = openedBy(c, socket.sent);
  assert.deepEqual(arrived[0].slice(0, 100), packetOf(100));
  assert.deepEqual(arrived[1].slice(0, 300), packetOf(300));
  assert.equal(counters.packets(Direction.ToTunnel), 2);
  assert.equal(counters.bytes(Direction.ToTunnel), 400);
  assert.equal(counters.drops(DropReason.NoPeer), 1);
});

for (const role of ["open", "seal"] as const) {
  Deno.test(`a packet without a session is staged with the control thread: ${role}`, () => {
    const { b } = triangle({ ringBytes: 4096 });
    const worker = b[role];
    b.tables.peers.setSessions(6, -1, -1, -1);
    const dispatch = (count: number) => {
      const { batch, bytes, sealer } = worker;
      batch.clear();
      for (let n = 0; n < count; n++) {
        const row = batch.append(500, 5);
        bytes.set(packetOf(500), batch.offset[row]);
        batch.decide(row, Verdict.ToPeer, 6);
      }
      sealer.reserve(batch, b.now);
      sealer.encrypt(batch);
      worker.dispatcher().dispatch(batch, b.now);
    };
    dispatch(2);
    const told = worker.told();
    assert.deepEqual(told.map(({ kind, a }) => [kind, a]), [
      [ControlMessage.Stage, 6],
      [ControlMessage.Stage, 6],
    ]);
    assert.deepEqual(told[1].bytes, packetOf(500));
    assert.deepEqual(worker.counters.snapshot().drops, {});
    dispatch(20);
    const staged = worker.told().length;
    assert.ok(staged > 0 && staged < 20);
    const full = worker.counters.drops(DropReason.ControlQueueFull);
    assert.equal(full, 20 - staged);
    assert.equal(worker.counters.packets(Direction.ToTunnel), 0);
  });
}

Deno.test("a peer without an endpoint, or whose keys are gone, costs a counted drop", () => {
  const { b } = triangle();
  b.tables.peers.setEndpoint(6, new Int32Array(4), 0, 0);
  b.open.dispatcher().dispatch(rows(b, Verdict.ToPeer, [9, 9], 6), b.now);
  assert.equal(b.open.counters.drops(DropReason.NoEndpoint), 2);
});

Deno.test("packets for the gateway itself go to the control thread with their peer", () => {
  const { b } = triangle({ ringBytes: 1024 });
  const dispatcher = b.open.dispatcher();
  dispatcher.dispatch(rows(b, Verdict.ToControl, [70]), b.now);
  const [{ kind, a: peer, bytes }] = b.open.told();
  assert.deepEqual([kind, peer], [ControlMessage.Packet, 5]);
  assert.deepEqual(bytes, packetOf(70));
  dispatcher.dispatch(rows(b, Verdict.ToControl, Array(20).fill(200)), b.now);
  const handed = b.open.told().length;
  assert.ok(handed > 0);
  const full = b.open.counters.drops(DropReason.ControlQueueFull);
  assert.equal(full, 20 - handed);
});

Deno.test("held rows cost nothing; undecided ones are dropped", () => {
  const { b } = triangle();
  const dispatcher = b.open.dispatcher();
  dispatcher.dispatch(rows(b, Verdict.Held, [1, 2]), b.now);
  assert.deepEqual(b.open.counters.snapshot().drops, {});
  dispatcher.dispatch(rows(b, Verdict.Undecided, [1, 2]), b.now);
  assert.equal(b.open.counters.drops(DropReason.NoPeer), 2);
  assert.equal(b.open.tun.written.length + b.open.socket.sent.length, 0);
});

Deno.test("messages that the system does not take are counted", () => {
  const { b } = triangle();
  b.open.socket.lose = 2;
  b.open.dispatcher().dispatch(rows(b, Verdict.ToPeer, [9, 9, 9], 6), b.now);
  assert.equal(b.open.counters.drops(DropReason.SendFailed), 2);
  assert.equal(b.open.socket.sent.length, 1);
});

/** B's translator: NAT row 7 has handle 70, row 8 has handle 80. */
function withOutside(b: TestEnd) {
  const nat = b.tables.nat!;
  nat.handle[7] = 70;
  nat.handle[8] = 80;
  const failures: number[][] = [];
  const outside = {
    port: b.open.outside,
    nat,
    failed(batch: Batch, row: number, errno: number): void {
      failures.push([row, errno]);
      batch.drop(row, DropReason.TooBig);
      const answer = batch.append(60, -1);
      batch.bytes.set(packetOf(60), batch.offset[answer]);
      batch.decide(answer, Verdict.ToPeer, 6);
    },
  };
  return { outside, failures };
}

Deno.test("rows for the outside leave by the socket of their NAT row", () => {
  const { b } = triangle();
  const { outside, failures } = withOutside(b);
  const batch = rows(b, Verdict.ToUdp, [10, 20], 7);
  batch.decide(1, Verdict.ToEcho, 8);
  const { words, port } = parseEndpoint("203.0.113.5:53")!;
  for (const row of [0, 1]) {
    batch.remote.set(words, row * 4);
    batch.remotePort[row] = port;
    batch.hopLimit[row] = 60 + row;
  }
  b.open.dispatcher({ outside }).dispatch(batch, b.now);
  const sent = b.open.outside.sent.map((one) => ({
    ...one,
    words: [...one.words],
  }));
  const there = { words: [...Int32Array.from(words)], port: 53 };
  assert.deepEqual(sent, [
    { handle: 70, bytes: packetOf(10), hopLimit: 60, ...there },
    { handle: 80, bytes: packetOf(20), hopLimit: 61, ...there },
  ]);
  assert.equal(b.open.counters.packets(Direction.ToOutside), 2);
  assert.equal(b.open.counters.bytes(Direction.ToOutside), 30);
  assert.deepEqual(failures, []);
});

Deno.test("what the outside refuses is dropped for its reason, and the client is told", () => {
  const { b, c } = triangle();
  const { outside, failures } = withOutside(b);
  b.open.outside.broken.set(80, 90);
  const batch = rows(b, Verdict.ToUdp, [10, 20, 30], 7);
  batch.decide(1, Verdict.ToUdp, 8);
  b.open.dispatcher({ outside }).dispatch(batch, b.now);
  assert.deepEqual(failures, [[1, 90]]);
  assert.equal(b.open.outside.sent.length, 2);
  assert.equal(b.open.counters.drops(DropReason.TooBig), 1);
  const [answer] = openedBy(c, b.open.socket.sent);
  assert.deepEqual(answer.slice(0, 60), packetOf(60));
  assert.equal(b.open.counters.packets(Direction.ToTunnel), 1);
});

Deno.test("without a translator nothing goes outside, without a device nothing to the host", () => {
  const { b } = triangle();
  const dispatcher = b.open.dispatcher({ tun: "none" });
  dispatcher.dispatch(rows(b, Verdict.ToUdp, [10]), b.now);
  dispatcher.dispatch(rows(b, Verdict.ToEcho, [10]), b.now);
  assert.equal(b.open.counters.drops(DropReason.NoMapping), 2);
});

Deno.test("dropped packets are shown with reason and beginning, at most 50 a second", () => {
  const { b } = triangle({ trace: true });
  const dispatcher = b.open.dispatcher();
  const drop = (count: number, length: number) => {
    const batch = rows(b, Verdict.Held, Array(count).fill(length));
    for (let row = 0; row < count; row++) batch.drop(row, DropReason.Filtered);
    dispatcher.dispatch(batch, b.now);
    return b.open.told();
  };
  const [{ kind, a: reason, b: peer, bytes }] = drop(1, 40);
  assert.deepEqual([kind, reason, peer], [
    ControlMessage.Drop,
    DropReason.Filtered,
    5,
  ]);
  assert.deepEqual(bytes, packetOf(40));
  assert.equal(drop(100, 200).length, 49);
  assert.equal(drop(100, 200).length, 0);
  b.now += 1000;
  assert.equal(drop(100, 200).length, 50);
  assert.equal(b.open.counters.drops(DropReason.Filtered), 301);
});

Deno.test("without tracing dropped packets are only counted", () => {
  const { b } = triangle();
  const batch = rows(b, Verdict.Held, [40]);
  batch.drop(0, DropReason.Filtered);
  b.open.dispatcher().dispatch(batch, b.now);
  assert.deepEqual(b.open.told(), []);
  assert.equal(b.open.counters.drops(DropReason.Filtered), 1);
});
