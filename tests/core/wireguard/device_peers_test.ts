import assert from "node:assert/strict";
import { parsePrefix } from "../../../src/core/wire/address.ts";
import { DeviceTables } from "../../support/device_tables.ts";
import { Random } from "./hex.ts";

const ENDPOINT = { words: Int32Array.of(0, 0, 0xffff, 0x0a000003), port: 7 };

function world(seed: number) {
  const tables = new DeviceTables(seed, { peers: 2 });
  return { tables, peers: tables.device.peers, random: new Random(seed) };
}

function prefix(text: string) {
  const parsed = parsePrefix(text);
  assert.ok(parsed);
  return parsed;
}

Deno.test("the same key twice, wrong lengths, a full table, unknown rows", () => {
  const { tables, peers, random } = world(1);
  const key = random.bytes(32);
  const row = peers.add(key, { now: 1 });
  assert.equal(peers.rowOf(key), row);
  assert.throws(() => peers.add(key, { now: 1 }), RangeError);
  assert.throws(() => peers.add(new Uint8Array(31), { now: 1 }), TypeError);
  const other = peers.add(random.bytes(32), { now: 1 });
  assert.deepEqual(peers.rows(), [row, other]);
  assert.throws(() => peers.add(random.bytes(32), { now: 1 }), RangeError);
  peers.remove(row);
  assert.equal(peers.rowOf(key), -1);
  assert.deepEqual(peers.rows(), [other]);
  assert.throws(() => peers.remove(row), RangeError);
  assert.throws(() => peers.info(row), RangeError);
  assert.throws(() => peers.memory(row), RangeError);
  assert.throws(() => peers.update(row, {}, 1), RangeError);
  assert.throws(() => peers.allow(99, prefix("10.0.0.0/8")), RangeError);
  assert.equal(peers.add(key, { now: 1 }), row);
  assert.deepEqual(tables.outputs(), []);
});

Deno.test("an endpoint given later starts the handshake that waits for it", () => {
  const { tables, peers, random } = world(2);
  const row = peers.add(random.bytes(32), { now: 1 });
  assert.equal(peers.info(row).endpoint, undefined);
  tables.device.stagePacket(row, new Uint8Array(20), 1000);
  assert.deepEqual(tables.outputs(), []);
  peers.update(row, { endpoint: ENDPOINT }, 1500);
  assert.deepEqual(tables.outputs(), ["datagram"]);
  assert.deepEqual(peers.info(row).endpoint, ENDPOINT);
});

Deno.test("what was remembered of a peer is given back", () => {
  const { peers, random } = world(3);
  const memory = { receivedTimestamp: random.bytes(12), sentTicks: 1234 };
  const row = peers.add(random.bytes(32), { memory, now: 1 });
  assert.deepEqual(peers.memory(row), memory);
});

Deno.test("a removed peer leaves nothing to the next in its row", () => {
  const { tables, peers, random } = world(4);
  const presharedKey = random.bytes(32);
  const settings = { presharedKey, persistentKeepaliveMs: 25_000, now: 1 };
  const row = peers.add(random.bytes(32), { ...settings, endpoint: ENDPOINT });
  assert.ok(peers.allow(row, prefix("10.0.0.0/8")));
  tables.device.stagePacket(row, new Uint8Array(20), 1000);
  peers.remove(row);
  tables.outputs();
  peers.add(random.bytes(32), { now: 2 });
  assert.equal(peers.add(random.bytes(32), { now: 2 }), row);
  const info = peers.info(row);
  assert.deepEqual(info.presharedKey, new Uint8Array(32));
  assert.deepEqual(info.allowedIps, []);
  assert.equal(info.endpoint, undefined);
  assert.equal(info.persistentKeepaliveMs, 0);
  assert.equal(tables.device.staged.waiting, 0);
  assert.equal(tables.device.nextTimeout(), Infinity);
});

Deno.test("allowed IPs of both families", () => {
  const { tables, peers, random } = world(5);
  const a = peers.add(random.bytes(32), { now: 1 });
  const b = peers.add(random.bytes(32), { now: 1 });
  assert.ok(peers.allow(a, prefix("10.0.0.0/8")));
  assert.ok(peers.allow(a, prefix("fd00::/8")));
  assert.ok(peers.allow(b, prefix("10.1.0.0/16")));
  assert.equal(tables.allowedIps.lookup4(0x0a010203), b);
  const families = () => peers.info(a).allowedIps.map((p) => p.family).sort();
  assert.deepEqual(families(), [4, 6]);
  assert.ok(peers.disallow(a, prefix("fd00::/8")));
  assert.ok(!peers.disallow(a, prefix("10.1.0.0/16")));
  assert.deepEqual(families(), [4]);
  peers.disallowAll(b);
  assert.equal(tables.allowedIps.lookup4(0x0a010203), a);
});
