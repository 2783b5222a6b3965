import assert from "node:assert/strict";
import { ControlMessage } from "../../src/core/columns/control_message.ts";
import { DropReason } from "../../src/core/columns/drop_reason.ts";
import { Verdict } from "../../src/core/columns/verdict.ts";
import { parseEndpoint } from "../../src/core/wire/address.ts";
import { readU32le } from "../../src/core/wire/bytes.ts";
import {
  type MessageFormat,
  plainFormat,
} from "../../src/core/wireguard/classify.ts";
import {
  paddedLength,
  transportCounter,
  transportReceiver,
} from "../../src/core/wireguard/messages.ts";
import {
  PeerEvent,
  PeerTable,
  TrafficWriter,
} from "../../src/core/wireguard/peer_table.ts";
import { SEND_COUNTER_LIMIT } from "../../src/core/wireguard/session_table.ts";
import { RandomPool } from "../../src/datapath/random_pool.ts";
import { Sealer, sealHeadroom } from "../../src/datapath/sealer.ts";
import { pattern } from "../core/flow/packets.ts";
import { toHex } from "../core/wireguard/hex.ts";
import { connect, type EndOptions, REJECT_AFTER_MS, TestEnd } from "./end.ts";

const B_AT = "192.0.2.2:2000";
const MTU = 1420;

function pair(options: EndOptions = {}) {
  const a = new TestEnd(1, options), b = new TestEnd(2, options);
  a.addPeer(3, ["10.0.0.2/32"], B_AT);
  b.addPeer(5, ["10.0.0.1/32"], "192.0.2.1:1000");
  return { a, b, ...connect([a, 3], [b, 5]) };
}

const packetOf = (length: number) => Uint8Array.from(pattern(length, length));

/** Puts a packet where it may be sealed; gives its place. */
function place(end: TestEnd, packet: Uint8Array): number {
  const { batch, bytes } = end.seal;
  batch.clear();
  const at = batch.reserve(packet.length);
  bytes.set(packet, at);
  return at;
}

function sealOne(end: TestEnd, peer: number, packet: Uint8Array): DropReason {
  const { sealer, link } = end.seal;
  const at = place(end, packet);
  return sealer.seal(at, packet.length, peer, end.now, link);
}

Deno.test("a message is header, ciphertext, tag; counters follow each other", () => {
  const { a, slotB, b } = pair();
  const packets = [20, 0, 1420, 33].map(packetOf);
  const datagrams = a.sealFor(3, ...packets);
  datagrams.forEach(({ bytes, words, port }, n) => {
    assert.equal(readU32le(bytes, 0), 4);
    const index = b.tables.sessions.receiverIndex[slotB] >>> 0;
    assert.equal(transportReceiver(bytes, 0), index);
    assert.equal(transportCounter(bytes, 0), n);
    const length = 16 + paddedLength(packets[n].length, MTU) + 16;
    assert.equal(bytes.length, length);
    assert.deepEqual(
      [...words],
      [...parseEndpoint(B_AT)!.words].map((w) => w | 0),
    );
    assert.equal(port, 2000);
  });
});

Deno.test("padding goes to a multiple of 16, but not past the MTU", () => {
  for (const mtu of [1420, 1281]) {
    const { a } = pair({ mtu });
    for (let length = mtu - 40; length <= mtu + 3; length++) {
      const [{ bytes }] = a.sealFor(3, packetOf(length));
      const up = Math.ceil(length / 16) * 16;
      const padded = length > mtu ? length : Math.min(up, mtu);
      assert.equal(bytes.length - 32, padded, `${length} of ${mtu}`);
    }
  }
});

Deno.test("with AmneziaWG prefixes are random, header values all over their range", () => {
  const format: MessageFormat = {
    prefix: Int32Array.of(0, 0, 0, 40),
    headerFirst: Uint32Array.of(1, 2, 3, 0x80000000),
    headerLast: Uint32Array.of(1, 2, 3, 0x8000000f),
  };
  const { a } = pair({ format });
  assert.equal(sealHeadroom(format), 56);
  const packets = Array.from({ length: 300 }, () => packetOf(4));
  const datagrams = a.sealFor(3, ...packets);
  const prefixes = new Set<string>(), headers = new Set<number>();
  for (const { bytes } of datagrams) {
    prefixes.add(toHex(bytes.slice(0, 40)));
    headers.add(readU32le(bytes, 40));
  }
  assert.equal(prefixes.size, 300);
  const expected = Array.from({ length: 16 }, (_, i) => 0x80000000 + i);
  assert.deepEqual([...headers].sort(), expected);
});

Deno.test("rows that are not for peers are left alone", () => {
  const { a } = pair();
  const { batch, sealer, tun, bytes } = a.seal;
  const packets = Array.from({ length: 6 }, (_, n) => packetOf(100 + n));
  tun.inbox.push(packets);
  tun.read(batch);
  batch.drop(0, DropReason.NoPeer);
  batch.decide(1, Verdict.ToPeer, 3);
  batch.decide(2, Verdict.ToHost, 0);
  batch.decide(3, Verdict.ToPeer, 3);
  batch.decide(4, Verdict.Held, 0);
  const before = bytes.slice();
  sealer.reserve(batch, a.now);
  sealer.encrypt(batch);
  const touched = new Set<number>();
  for (let row = 0; row < batch.count; row++) {
    const at = batch.offset[row], end = at + batch.length[row];
    for (let i = at; i < end; i++) if (bytes[i] !== before[i]) touched.add(row);
  }
  assert.deepEqual([...touched], [1, 3]);
  assert.equal(a.tables.sessions.sendCounter[0], 2);
});

Deno.test("rows for several peers go to each one's own session and place", () => {
  const { a, b } = pair();
  const c = new TestEnd(3);
  a.addPeer(4, [], "192.0.2.3:3000");
  c.addPeer(0, []);
  connect([a, 4], [c, 0]);
  const { batch, sealer, tun, socket, link } = a.seal;
  tun.inbox.push(Array.from({ length: 7 }, (_, n) => packetOf(10 + n)));
  tun.read(batch);
  const targets = [3, 3, 4, 3, 4, 4, 4];
  targets.forEach((peer, row) => batch.decide(row, Verdict.ToPeer, peer));
  sealer.reserve(batch, a.now);
  sealer.encrypt(batch);
  targets.forEach((_, row) => sealer.send(batch, row, a.now, link));
  socket.flush();
  assert.deepEqual(
    socket.sent.map(({ port, bytes }) => [port, transportCounter(bytes, 0)]),
    [[2000, 0], [2000, 1], [3000, 0], [2000, 2], [3000, 1], [3000, 2], [
      3000,
      3,
    ]],
  );
  const ofB = socket.sent.filter(({ port }) => port === 2000);
  const ofC = socket.sent.filter(({ port }) => port === 3000);
  assert.equal(b.receive(...ofB).verdict[2], Verdict.Undecided);
  assert.equal(c.receive(...ofC).verdict[3], Verdict.Undecided);
  assert.equal(a.tables.peers.traffic(4).sentPackets, 4);
});

Deno.test("without a usable session the packet is as it was", () => {
  const cases: Record<string, (end: TestEnd, slot: number) => void> = {
    "no session": (end) => end.tables.peers.setSessions(3, -1, -1, -1),
    "expired": (end) => end.now += REJECT_AFTER_MS,
    "used up": (end, slot) => {
      end.tables.sessions.sendCounter[slot] = SEND_COUNTER_LIMIT | 0;
    },
  };
  for (const [name, spoil] of Object.entries(cases)) {
    const { a, slotA } = pair();
    spoil(a, slotA);
    const before = a.tables.sessions.sendCounter[slotA];
    const packet = packetOf(99);
    assert.equal(sealOne(a, 3, packet), DropReason.NoSession, name);
    const at = place(a, packet); // the same place again
    assert.deepEqual(a.seal.bytes.slice(at, at + 99), packet);
    assert.equal(a.tables.sessions.sendCounter[slotA], before);
    assert.equal(a.seal.socket.flush(), 0);
    assert.equal(a.seal.socket.sent.length, 0);
  }
});

Deno.test("the last counters are given out, and then no more", () => {
  const { a, slotA } = pair();
  a.tables.sessions.sendCounter[slotA] = (SEND_COUNTER_LIMIT - 2) | 0;
  const { None, NoSession } = DropReason;
  for (const reason of [None, None, NoSession]) {
    assert.equal(sealOne(a, 3, packetOf(1)), reason);
    a.seal.socket.flush();
  }
  const counters = a.seal.socket.sent.map(({ bytes }) =>
    transportCounter(bytes, 0)
  );
  assert.deepEqual(counters, [SEND_COUNTER_LIMIT - 2, SEND_COUNTER_LIMIT - 1]);
});

Deno.test("a peer without an endpoint costs no counter", () => {
  const { a, slotA } = pair();
  a.tables.peers.setEndpoint(3, new Int32Array(4), 0, 0);
  assert.equal(sealOne(a, 3, packetOf(9)), DropReason.NoEndpoint);
  assert.equal(a.tables.sessions.sendCounter[slotA], 0);
});

/** Reserves and encrypts one packet, lets something happen, and sends. */
function sendAfter(end: TestEnd, happen: () => void): DropReason {
  const { batch, sealer, tun, link } = end.seal;
  batch.clear();
  tun.inbox.push([packetOf(50)]);
  tun.read(batch);
  batch.decide(0, Verdict.ToPeer, 3);
  sealer.reserve(batch, end.now);
  sealer.encrypt(batch);
  happen();
  return sealer.send(batch, 0, end.now, link);
}

Deno.test("what was sealed while its keys were erased does not leave", () => {
  const { a, slotA } = pair();
  const { sessions } = a.tables;
  const reason = sendAfter(a, () => sessions.release(slotA));
  assert.equal(reason, DropReason.SessionExpired);
  a.seal.socket.flush();
  assert.equal(a.seal.socket.sent.length, 0);
  assert.equal(a.tables.peers.traffic(3).sentPackets, 0);
});

Deno.test("a message goes to where the peer is when it is sent", () => {
  const { a } = pair();
  const { words, port } = parseEndpoint("198.51.100.1:7")!;
  const reason = sendAfter(a, () => {
    a.tables.peers.setEndpoint(3, words, 0, port);
  });
  assert.equal(reason, DropReason.None);
  a.seal.socket.flush();
  assert.equal(a.seal.socket.sent[0].port, 7);
});

/** Says which session is current once; then it has changed. */
class ChangingPeers extends PeerTable {
  onFirst: () => void = () => {};

  override currentSession(peer: number): number {
    const slot = super.currentSession(peer);
    const happen = this.onFirst;
    this.onFirst = () => {};
    happen();
    return slot;
  }
}

Deno.test("a slot that is taken from its peer while it is looked at seals nothing", () => {
  const { a, slotA } = pair();
  const { sessions } = a.tables;
  const capacity = 8;
  const peers = new ChangingPeers(
    new ArrayBuffer(PeerTable.byteLength(capacity)),
    capacity,
  );
  const { words, port } = parseEndpoint(B_AT)!;
  peers.setEndpoint(3, words, 0, port);
  peers.setSessions(3, slotA, -1, -1);
  const sealer = new Sealer({
    bytes: a.seal.bytes,
    sessions,
    peers,
    format: plainFormat(),
    aead: a.seal.aead,
    socket: a.seal.socket,
    random: new RandomPool(),
    writer: TrafficWriter.SealPump,
    mtu: MTU,
    rejectAfterMs: REJECT_AFTER_MS,
    rows: 0,
  });
  peers.onFirst = () => {
    peers.setSessions(3, -1, -1, -1);
    sessions.release(slotA); // zeros for keys, which everybody knows
  };
  const packet = packetOf(30);
  const at = place(a, packet);
  const reason = sealer.seal(at, 30, 3, a.now, a.seal.link);
  assert.equal(reason, DropReason.NoSession);
  assert.deepEqual(a.seal.bytes.slice(at, at + 30), packet);
  a.seal.socket.flush();
  assert.equal(a.seal.socket.sent.length, 0);
});

Deno.test("the control thread is told of data once, of keepalives never", () => {
  const { a } = pair();
  const { peers } = a.tables;
  a.sealFor(3, packetOf(0));
  assert.equal(peers.lastSentAt[3], a.now);
  assert.deepEqual(a.seal.told(), []);
  a.sealFor(3, ...Array.from({ length: 50 }, () => packetOf(20)));
  a.sealFor(3, packetOf(20));
  const told = a.seal.told().map(({ kind, a: peer }) => [kind, peer]);
  assert.deepEqual(told, [[ControlMessage.PeerEvent, 3]]);
  assert.equal(peers.events[3], PeerEvent.DataSent);
  assert.equal(peers.unansweredSince[3], a.now);
  peers.withdrawPeerEvent(3, PeerEvent.DataSent);
  a.sealFor(3, packetOf(20));
  assert.equal(a.seal.told().length, 1);
});

Deno.test("without a link, as on the control thread, nobody is told", () => {
  const { a } = pair();
  const at = place(a, packetOf(20));
  const reason = a.seal.sealer.seal(at, 20, 3, a.now, undefined);
  assert.equal(reason, DropReason.None);
  assert.deepEqual(a.seal.told(), []);
});

Deno.test("two threads never use a counter twice", () => {
  const { a, b } = pair();
  const seen = new Set<number>();
  const datagrams = [];
  for (let n = 0; n < 200; n++) {
    const worker = n % 3 === 0 ? a.open : a.seal;
    worker.batch.clear();
    const at = worker.batch.reserve(40);
    worker.bytes.set(packetOf(40), at);
    worker.sealer.seal(at, 40, 3, a.now, worker.link);
    worker.socket.flush();
    const [datagram] = worker.socket.sent.splice(0);
    seen.add(transportCounter(datagram.bytes, 0));
    datagrams.push(datagram);
  }
  assert.equal(seen.size, 200);
  const { verdict } = b.receive(...datagrams);
  assert.ok(verdict.slice(0, 200).every((one) => one === Verdict.Undecided));
  const { sentPackets } = a.tables.peers.traffic(3);
  assert.equal(sentPackets, 200, "each counted in its own columns");
});

Deno.test("a message stays inside its head- and tailroom", () => {
  for (const prefix of [0, 17]) {
    const format = { ...plainFormat(), prefix: Int32Array.of(0, 0, 0, prefix) };
    const { a } = pair({ format });
    const { batch, bytes, sealer, link } = a.seal;
    for (let length = 0; length < 64; length++) {
      batch.clear();
      bytes.fill(0xaa, a.seal.spare.start, a.seal.spare.start + 4096);
      const first = batch.reserve(10);
      const at = batch.reserve(length);
      const last = batch.reserve(10);
      const neighbours = () => [
        bytes.slice(a.seal.spare.start, first + 10),
        bytes.slice(last - batch.headroom, last + 100),
      ];
      const before = neighbours();
      bytes.set(packetOf(length), at);
      assert.equal(sealer.seal(at, length, 3, a.now, link), DropReason.None);
      assert.deepEqual(neighbours(), before, `${length} bytes`);
    }
  }
});
