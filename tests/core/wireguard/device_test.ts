/** What the simulations do not show: many peers, load, the API's edges. */
import assert from "node:assert/strict";
import { DropReason } from "../../../src/core/columns/drop_reason.ts";
import { AllowedIps } from "../../../src/core/wireguard/allowed_ips.ts";
import { PLAIN_WIREGUARD } from "../../../src/core/wireguard/amnezia.ts";
import { Device } from "../../../src/core/wireguard/device.ts";
import type {
  DeviceOptions,
  DeviceOutput,
} from "../../../src/core/wireguard/device_context.ts";
import { LoadMeter } from "../../../src/core/wireguard/load_meter.ts";
import { noblePrimitives } from "../../../src/core/wireguard/noble_primitives.ts";
import {
  PeerEvent,
  PeerTable,
} from "../../../src/core/wireguard/peer_table.ts";
import { SessionTable } from "../../../src/core/wireguard/session_table.ts";
import { parsePrefix } from "../../../src/core/wire/address.ts";
import { Random } from "./hex.ts";
import { nodePrimitives } from "./node_primitives.ts";
import { TRANSCRIPT } from "./vectors.ts";

const WALL = 1_700_000_000_000;
const remote = (host: number) => Int32Array.of(0, 0, 0xffff, 0x0a000000 | host);

function make(capacity: number, change: Partial<DeviceOptions> = {}) {
  const slots = 2 ** Math.ceil(Math.log2(capacity * 4));
  const nodes = capacity * 4;
  const peers = new PeerTable(
    new ArrayBuffer(PeerTable.byteLength(capacity)),
    capacity,
  );
  const sessions = new SessionTable(
    new ArrayBuffer(SessionTable.byteLength(slots)),
    slots,
  );
  const size = AllowedIps.byteLength({ nodes });
  const allowedIps = new AllowedIps(new ArrayBuffer(size), { nodes });
  const random = new Random(capacity);
  const device = new Device({
    privateKey: random.bytes(32),
    peers,
    sessions,
    allowedIps,
    primitives: nodePrimitives,
    random: random.fill,
    wallTime: () => WALL,
    ...change,
  });
  return { device, peers, sessions, allowedIps, random };
}

function drain(device: Device): DeviceOutput[] {
  const outputs: DeviceOutput[] = [];
  for (;;) {
    const output = device.poll();
    if (output === undefined) return outputs;
    outputs.push(output);
  }
}

function datagrams(device: Device): Uint8Array[] {
  return drain(device).flatMap((output) =>
    output.kind === "datagram" ? [output.bytes] : []
  );
}

Deno.test("the responder takes the published initiation", () => {
  const { device, sessions } = make(2, {
    privateKey: TRANSCRIPT.responderPrivate,
    primitives: noblePrimitives,
  });
  assert.deepEqual(device.publicKey, TRANSCRIPT.responderPublic);
  const row = device.peers.add(TRANSCRIPT.initiatorPublic, { now: 1 });
  const result = device.handleDatagram(TRANSCRIPT.initiation, remote(1), 9, 1);
  assert.equal(result, DropReason.None);
  const [response] = datagrams(device);
  assert.equal(response.length, 92);
  assert.deepEqual(
    device.peers.memory(row).receivedTimestamp,
    TRANSCRIPT.timestamp,
  );
  assert.equal(sessions.remoteIndex.includes(TRANSCRIPT.initiatorIndex), true);
});

Deno.test("5,000 peers connect, and leave no session and no timer behind", () => {
  const count = 5000;
  // X25519 stood in for by a hash, symmetric enough: this test is about tables.
  const cheap = {
    ...nodePrimitives,
    publicKey: (key: Uint8Array) => key.slice(),
    x25519: (a: Uint8Array, b: Uint8Array) => {
      const product = new Uint8Array(32);
      for (let i = 0; i < 32; i++) product[i] = a[i] ^ b[i] ^ 0x5a;
      return product;
    },
  };
  const server = make(count, { primitives: cheap });
  server.device.setLoadMode("never");
  const client = make(1, { primitives: cheap });
  const keys = Array.from({ length: count }, () => server.random.bytes(32));
  for (const key of keys) {
    const row = server.device.peers.add(key, { now: 1 });
    const prefix = parsePrefix(`10.${row >> 8}.${row & 255}.1/32`);
    assert.ok(prefix && server.device.peers.allow(row, prefix));
  }
  assert.equal(
    server.device.nextTimeout(),
    Infinity,
    "idle peers have no timer",
  );
  let now = 1000;
  for (let i = 0; i < count; i++) {
    now += 25;
    client.device.setPrivateKey(keys[i], now);
    if (i === 0) {
      client.device.peers.add(server.device.publicKey, {
        endpoint: { words: remote(1), port: 1 },
        now,
      });
    }
    client.device.stagePacket(0, new Uint8Array(20), now);
    const [initiation] = datagrams(client.device);
    assert.ok(initiation);
    const result = server.device.handleDatagram(initiation, remote(i), 7, now);
    assert.equal(result, DropReason.None);
    const [response] = datagrams(server.device);
    assert.equal(
      client.device.handleDatagram(response, remote(1), 1, now),
      DropReason.None,
    );
    drain(client.device);
  }
  assert.equal(server.device.counters.initiationsAccepted, count);
  // Sessions never confirmed end after 180 s, one timer each.
  server.device.handleTimeout(now + 181_000);
  assert.equal(server.sessions.freeCount, server.sessions.capacity);
  server.device.handleTimeout(now + 541_000);
  assert.equal(server.device.nextTimeout(), Infinity);
});

Deno.test("too many handshakes a second put the device under load, and out again", () => {
  const meter = new LoadMeter({ perSecond: 60, burst: 60 });
  let now = 1000;
  for (let i = 0; i < 60; i++) assert.ok(!meter.note(now));
  assert.ok(meter.note(now));
  assert.ok(meter.note(now + 900), "holds on");
  now += 5000;
  assert.ok(!meter.note(now));
  for (let i = 0; i < 1000; i++, now += 20) assert.ok(!meter.note(now));
  meter.mode = "always";
  assert.ok(meter.note(now));
  meter.mode = "never";
  for (let i = 0; i < 1000; i++) assert.ok(!meter.note(now));
});

Deno.test("under load one source gets 20 handshakes a second, burst 5", () => {
  const { device } = make(1);
  device.setLoadMode("always");
  const client = make(2);
  client.device.peers.add(device.publicKey, {
    endpoint: { words: remote(1), port: 1 },
    now: 1,
  });
  device.peers.add(client.device.publicKey, { now: 1 });
  client.device.stagePacket(0, new Uint8Array(20), 1000);
  const [first] = datagrams(client.device);
  assert.equal(
    device.handleDatagram(first, remote(5), 5, 1000),
    DropReason.ControlQueueFull,
  );
  const [cookie] = datagrams(device);
  assert.equal(cookie.length, 64);
  assert.equal(
    client.device.handleDatagram(cookie, remote(1), 1, 1001),
    DropReason.None,
  );
  client.device.handleTimeout(7000);
  const [second] = datagrams(client.device);
  const results = Array.from(
    { length: 8 },
    () => device.handleDatagram(second, remote(5), 5, 7000),
  );
  // The first is taken, the next four are replays, then the limiter refuses.
  assert.deepEqual(results.slice(0, 5), [
    DropReason.None,
    DropReason.Replayed,
    DropReason.Replayed,
    DropReason.Replayed,
    DropReason.Replayed,
  ]);
  assert.deepEqual(
    results.slice(5),
    Array(3).fill(DropReason.ControlQueueFull),
  );
  assert.equal(device.counters.rateLimited, 3);
  assert.equal(device.counters.cookieRepliesSent, 1);
});

Deno.test("a wrong mac1 costs no answer, even under load", () => {
  const { device } = make(1, { privateKey: TRANSCRIPT.responderPrivate });
  device.setLoadMode("always");
  const forged = TRANSCRIPT.initiation.slice();
  forged[120] ^= 1;
  assert.equal(
    device.handleDatagram(forged, remote(1), 1, 1),
    DropReason.AuthenticationFailed,
  );
  assert.equal(device.counters.wrongMac, 1);
  assert.deepEqual(drain(device), []);
});

Deno.test("an unknown key gets no answer", () => {
  const { device } = make(1, { privateKey: TRANSCRIPT.responderPrivate });
  const result = device.handleDatagram(TRANSCRIPT.initiation, remote(1), 1, 1);
  assert.equal(result, DropReason.AuthenticationFailed);
  assert.equal(device.counters.unknownPeer, 1);
  assert.deepEqual(drain(device), []);
});

Deno.test("a full session table refuses handshakes and keeps going", () => {
  const { device, sessions } = make(1, {
    privateKey: TRANSCRIPT.responderPrivate,
    primitives: noblePrimitives,
  });
  device.peers.add(TRANSCRIPT.initiatorPublic, { now: 1 });
  const slots: number[] = [];
  while (sessions.freeCount > 0) slots.push(sessions.reserve(0, 0));
  assert.equal(
    device.handleDatagram(TRANSCRIPT.initiation, remote(1), 1, 1),
    DropReason.NoSession,
  );
  assert.equal(device.counters.sessionsFull, 1);
  device.stagePacket(0, new Uint8Array(20), 6000);
  assert.equal(device.counters.sessionsFull, 2);
  for (const slot of slots) sessions.release(slot);
  device.handleTimeout(20_000);
  assert.equal(device.counters.initiationsSent, 1);
});

Deno.test("a wrong key and unknown rows", () => {
  const { device } = make(2);
  assert.throws(() => device.setPrivateKey(new Uint8Array(5), 1), TypeError);
  device.handlePeerEvents(99, 63, 1);
  device.stagePacket(99, new Uint8Array(20), 1);
  assert.deepEqual(drain(device), []);
});

Deno.test("an unusable public key is a peer that never answers", () => {
  const { device } = make(1, { primitives: noblePrimitives });
  device.peers.add(new Uint8Array(32), {
    endpoint: { words: remote(1), port: 1 },
    now: 1,
  });
  device.stagePacket(0, new Uint8Array(20), 1000);
  device.handleTimeout(100_000);
  device.handleTimeout(200_000);
  assert.equal(device.counters.initiationsSent, 0);
  assert.deepEqual(device.staged, { waiting: 0, dropped: 1 });
});

Deno.test("a ring for a session starts one handshake, and is level", () => {
  const { device, peers, random } = make(1);
  device.peers.add(random.bytes(32), {
    endpoint: { words: remote(3), port: 7 },
    now: 1,
  });
  assert.ok(peers.notePeerEvent(0, PeerEvent.NeedSession));
  device.handlePeerEvents(0, PeerEvent.NeedSession, 1000);
  device.handlePeerEvents(0, PeerEvent.NeedSession, 1001);
  assert.equal(datagrams(device).length, 1);
  assert.ok(!peers.notePeerEvent(0, PeerEvent.NeedSession));
  for (let now = 1000; now < 200_000; now += 1000) device.handleTimeout(now);
  assert.ok(
    peers.notePeerEvent(0, PeerEvent.NeedSession),
    "given up: rings anew",
  );
});

Deno.test("AmneziaWG's parameters can be changed while it runs", () => {
  const { device, random } = make(1);
  device.setAmnezia({ ...PLAIN_WIREGUARD, S1: 20, Jc: 2, Jmin: 8, Jmax: 8 });
  device.peers.add(random.bytes(32), {
    endpoint: { words: remote(3), port: 7 },
    now: 1,
  });
  device.stagePacket(0, new Uint8Array(20), 1000);
  assert.deepEqual(datagrams(device).map((b) => b.length), [8, 8, 168]);
  assert.equal(device.format.prefix[0], 20);
  assert.throws(
    () => device.setAmnezia({ ...PLAIN_WIREGUARD, I1: "<?>" }),
    SyntaxError,
  );
});
