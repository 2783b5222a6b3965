/**
 * Seeded mutation of everything that a WireGuard device hears: nothing throws,
 * no table grows, and no session comes from bytes that nobody signed.
 */
import assert from "node:assert/strict";
import { DropReason } from "../../src/core/columns/drop_reason.ts";
import { AllowedIps } from "../../src/core/wireguard/allowed_ips.ts";
import {
  PLAIN_WIREGUARD,
  validateAmnezia,
} from "../../src/core/wireguard/amnezia.ts";
import { parsePacketTemplate } from "../../src/core/wireguard/amnezia_packets.ts";
import {
  classify,
  MessageKind,
  plainFormat,
} from "../../src/core/wireguard/classify.ts";
import { CookieJar, macKeys } from "../../src/core/wireguard/cookie.ts";
import { Device } from "../../src/core/wireguard/device.ts";
import { PeerTable } from "../../src/core/wireguard/peer_table.ts";
import { SessionTable } from "../../src/core/wireguard/session_table.ts";
import { Pair } from "../sim/pair.ts";
import { address } from "../sim/world.ts";
import { Random } from "../core/wireguard/hex.ts";
import { nodePrimitives } from "../core/wireguard/node_primitives.ts";
import { TRANSCRIPT } from "../core/wireguard/vectors.ts";

const CASES = 100_000;
const PEERS = 4;

function target(random: Random) {
  const slots = 16;
  const nodes = 16;
  const peers = new PeerTable(
    new ArrayBuffer(PeerTable.byteLength(PEERS)),
    PEERS,
  );
  const sessions = new SessionTable(
    new ArrayBuffer(SessionTable.byteLength(slots)),
    slots,
  );
  const allowedIps = new AllowedIps(
    new ArrayBuffer(AllowedIps.byteLength({ nodes })),
    { nodes },
  );
  const device = new Device({
    privateKey: TRANSCRIPT.responderPrivate,
    peers,
    sessions,
    allowedIps,
    primitives: nodePrimitives,
    random: random.fill,
    wallTime: () => 1_700_000_000_000,
  });
  device.peers.add(TRANSCRIPT.initiatorPublic, {
    endpoint: { words: Int32Array.of(0, 0, 0xffff, 1), port: 1 },
    now: 1,
  });
  return { device, peers, sessions, allowedIps };
}

/** Changes bytes, bits, length; or makes something new. */
function mutate(random: Random, seed: Uint8Array): Uint8Array {
  const bytes = random.chance(0.05)
    ? random.bytes(random.below(300))
    : seed.slice();
  const edits = random.below(4);
  for (let i = 0; i < edits && bytes.length > 0; i++) {
    const at = random.below(bytes.length);
    if (random.chance(0.5)) bytes[at] ^= 1 << random.below(8);
    else {bytes[at] = random.chance(0.5)
        ? random.next()
        : 0xff * random.below(2);}
  }
  if (random.chance(0.1)) {
    return bytes.subarray(0, random.below(bytes.length + 1));
  }
  if (random.chance(0.05)) {
    const longer = new Uint8Array(bytes.length + random.below(64));
    longer.set(bytes);
    return longer;
  }
  return bytes;
}

Deno.test(`${CASES} mutated datagrams move nothing`, () => {
  const random = new Random(2024);
  const { device, sessions, allowedIps } = target(random);
  const keys = macKeys(nodePrimitives, TRANSCRIPT.responderPublic);
  const jar = new CookieJar();
  const cookie = new Uint8Array(64);
  cookie[0] = 3;
  const seeds = [
    TRANSCRIPT.initiation,
    TRANSCRIPT.response,
    TRANSCRIPT.initiatorKeepalive,
    cookie,
  ];
  const remote = new Uint32Array(4);
  let now = 1000;
  let reached = 0;
  for (let i = 0; i < CASES; i++) {
    now += random.below(3);
    const bytes = mutate(random, seeds[random.below(seeds.length)]);
    const kind = classify(bytes, 0, bytes.length, plainFormat());
    // A valid mac1 lets some of them pass the door, to the cryptography.
    if (random.chance(0.02) && kind === MessageKind.Initiation) {
      const options = { mac1At: 116, now, lifetimeMs: 1 };
      jar.writeMacs(nodePrimitives, keys, bytes, options);
      reached++;
    }
    for (let word = 0; word < 4; word++) remote[word] = random.next();
    device.handleDatagram(bytes, remote, random.below(65536), now);
    while (device.poll() !== undefined);
    if (i % 1000 === 0) device.handleTimeout(now);
    assert.ok(sessions.capacity - sessions.freeCount <= 4);
  }
  assert.ok(reached > 100, `${reached} passed mac1`);
  assert.ok(device.counters.initiationsAccepted <= 1, "the transcript itself");
  assert.equal(device.counters.responsesAccepted, 0);
  assert.equal(device.counters.cookiesAccepted, 0);
  assert.equal(device.peers.rows().length, 1);
  assert.equal(allowedIps.size, 0);
  assert.equal(device.staged.waiting, 0);
});

Deno.test("changed transport messages are never delivered", () => {
  const pair = new Pair(5);
  const { random } = pair.world;
  const genuine: Uint8Array[] = [];
  pair.world.tap = (bytes, from) => {
    if (from === pair.world.hosts[0].port) genuine.push(bytes.slice());
  };
  for (let i = 0; i < 50; i++) {
    pair.send(0, 40 + i);
    pair.run(100);
  }
  const arrived = pair.arrived[1].size;
  const endpoint = pair.end(1).device.peers.info(0).endpoint?.port;
  assert.equal(arrived, 50);
  for (let i = 0; i < 20_000; i++) {
    const bytes = mutate(random, genuine[random.below(genuine.length)]);
    const result = pair.end(1).receive(bytes, address(9), 9, pair.world.now);
    assert.notEqual(result, DropReason.None);
  }
  assert.equal(pair.arrived[1].size, arrived);
  assert.equal(pair.end(1).device.peers.info(0).endpoint?.port, endpoint);
});

Deno.test("random calls in random order never throw and hold no more than they may", () => {
  const random = new Random(7);
  const { device, peers, sessions } = target(random);
  const rows = () => device.peers.rows();
  const remote = new Uint32Array(4);
  let now = 1000;
  let outputs = 0;
  for (let i = 0; i < 20_000; i++) {
    now += random.chance(0.01) ? random.below(200_000) : random.below(500);
    const row = random.below(PEERS + 1);
    remote[3] = random.next();
    switch (random.below(9)) {
      case 0:
        if (rows().length < PEERS) {
          const endpoint = { words: remote, port: random.below(65536) };
          device.peers.add(random.bytes(32), { endpoint, now });
        }
        break;
      case 1:
        if (rows().includes(row) && random.chance(0.3)) {
          device.peers.remove(row);
        }
        break;
      case 2:
        device.stagePacket(row, random.bytes(random.below(1500)), now);
        break;
      case 3:
        device.handlePeerEvents(row, random.below(64), now);
        break;
      case 4:
        if (row < PEERS) peers.noteDataSent(row, now);
        break;
      case 5:
        if (row < PEERS) peers.noteDataReceived(row, now);
        break;
      case 6:
        device.handleDatagram(
          mutate(random, TRANSCRIPT.initiation),
          remote,
          1,
          now,
        );
        break;
      case 7:
        if (rows().includes(row)) {
          const persistentKeepaliveMs = random.below(3) * 10_000;
          device.peers.update(row, { persistentKeepaliveMs }, now);
        }
        break;
      case 8:
        device.handleTimeout(now);
        break;
    }
    while (device.poll() !== undefined) outputs++;
    assert.ok(sessions.capacity - sessions.freeCount <= 4 * rows().length);
    assert.ok(device.staged.waiting <= 128 * PEERS);
  }
  assert.ok(outputs > 100);
  for (const row of rows()) device.peers.remove(row);
  assert.equal(sessions.freeCount, sessions.capacity);
  assert.equal(device.nextTimeout(), Infinity);
  assert.equal(device.staged.waiting, 0);
});

Deno.test("any text as tags gives a template or a sentence", () => {
  const random = new Random(3);
  const alphabet = "<>brdct 0x123afZ-";
  for (let i = 0; i < 20_000; i++) {
    let text = "";
    for (let n = random.below(24); n > 0; n--) {
      text += alphabet[random.below(alphabet.length)];
    }
    const template = parsePacketTemplate(text);
    const problems = validateAmnezia(
      { ...PLAIN_WIREGUARD, I1: text },
      { mtu: 1420 },
    );
    if (typeof template === "string") {
      assert.ok(template.length > 0 && template.length < 120);
      assert.equal(problems.length, 1);
    }
  }
});
