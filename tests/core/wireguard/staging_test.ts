import assert from "node:assert/strict";
import { Staging } from "../../../src/core/wireguard/staging.ts";

const packet = (id: number) => Uint8Array.of(id);
const ids = (packets: readonly Uint8Array[]) => packets.map((p) => p[0]);

Deno.test("packets come out in order and once", () => {
  const staging = new Staging({ perPeer: 3, total: 10 });
  for (const id of [1, 2, 3]) staging.add(0, packet(id));
  staging.add(1, packet(9));
  assert.deepEqual(ids(staging.take(0)), [1, 2, 3]);
  assert.deepEqual(ids(staging.take(0)), []);
  assert.ok(staging.has(1));
  assert.equal(staging.total, 1);
});

Deno.test("a full queue drops its oldest and counts it", () => {
  const staging = new Staging({ perPeer: 3, total: 10 });
  for (let id = 0; id < 5; id++) assert.ok(staging.add(0, packet(id)));
  assert.equal(staging.dropped, 2);
  assert.equal(staging.total, 3);
  assert.deepEqual(ids(staging.take(0)), [2, 3, 4]);
});

Deno.test("the bound for all together holds", () => {
  const staging = new Staging({ perPeer: 8, total: 10 });
  for (let peer = 0; peer < 100; peer++) staging.add(peer, packet(peer));
  assert.equal(staging.total, 10);
  assert.equal(staging.dropped, 90);
  staging.add(3, packet(200));
  assert.equal(staging.total, 10);
  assert.deepEqual(ids(staging.take(3)), [200]);
  assert.equal(staging.drop(4), 1);
  assert.equal(staging.total, 8);
});

Deno.test("a packet is copied", () => {
  const staging = new Staging({ perPeer: 8, total: 10 });
  const bytes = packet(1);
  staging.add(0, bytes);
  bytes[0] = 2;
  assert.deepEqual(ids(staging.take(0)), [1]);
});
