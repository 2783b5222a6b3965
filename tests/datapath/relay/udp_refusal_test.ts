import assert from "node:assert/strict";
import { UdpRefusal } from "../../../src/datapath/relay/udp_refusal.ts";

const TIMES = { refusedMs: 300_000, failedMs: 10_000 };

Deno.test("a clear no is remembered for long, and told once", () => {
  const refusal = new UdpRefusal(TIMES);
  assert.equal(refusal.isActive(0), false);
  assert.equal(refusal.failed({ kind: "unsupported" }, 1000), "refused");
  assert.equal(refusal.isActive(300_999), true);
  assert.equal(refusal.isActive(301_000), false);
  assert.equal(refusal.failed({ kind: "proxy-refused" }, 301_000), undefined);
  assert.equal(refusal.isActive(600_999), true);
});

Deno.test("what may pass is tried again soon, then more and more seldom", () => {
  const refusal = new UdpRefusal(TIMES);
  const waits: number[] = [];
  let now = 0;
  for (let round = 0; round < 7; round++) {
    refusal.failed({ kind: "proxy-unreachable" }, now);
    const start = now;
    while (refusal.isActive(now)) now += 1000;
    waits.push(now - start);
  }
  assert.deepEqual(waits, [
    10_000,
    20_000,
    40_000,
    80_000,
    160_000,
    300_000,
    300_000,
  ]);
});

Deno.test("failures of those asked at once count as one", () => {
  const refusal = new UdpRefusal(TIMES);
  for (let i = 0; i < 50; i++) refusal.failed({ kind: "timed-out" }, 10 * i);
  assert.equal(refusal.isActive(9_999), true);
  assert.equal(refusal.isActive(10_000), false);
});

Deno.test("an association that stands lets others be asked for; what it brings ends the matter", () => {
  const refusal = new UdpRefusal(TIMES);
  refusal.failed({ kind: "proxy-closed" }, 0);
  refusal.opened();
  assert.equal(refusal.isActive(1), false);
  // It ended at once: the wait goes on growing, and nothing is told again.
  assert.equal(refusal.failed({ kind: "proxy-closed" }, 1), undefined);
  assert.equal(refusal.isActive(20_000), true);
  assert.equal(refusal.worked(), "works-again");
  assert.equal(refusal.isActive(20_000), false);
  assert.equal(refusal.worked(), undefined);
  assert.equal(refusal.failed({ kind: "proxy-closed" }, 30_000), "refused");
  assert.equal(refusal.isActive(40_000), false);
});
