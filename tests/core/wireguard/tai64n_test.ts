import assert from "node:assert/strict";
import {
  isLater,
  nextTicks,
  ticksOf,
  writeTimestamp,
} from "../../../src/core/wireguard/tai64n.ts";
import { Random, toHex } from "./hex.ts";

function timestamp(ticks: number): Uint8Array {
  const bytes = new Uint8Array(12);
  writeTimestamp(bytes, 0, ticks);
  return bytes;
}

Deno.test("known times", () => {
  // 1700000000.083886080 s: as in the published transcript.
  assert.equal(
    toHex(timestamp(ticksOf(1_700_000_000_083.887))),
    "400000006553f10a05000000",
  );
  assert.equal(toHex(timestamp(ticksOf(0))), "400000000000000a00000000");
  assert.equal(toHex(timestamp(ticksOf(999))), "400000000000000a3b000000");
  assert.equal(
    toHex(timestamp(ticksOf(2 ** 32 * 1000))),
    "400000010000000a00000000",
  );
});

Deno.test("the bytes order as the ticks do", () => {
  const random = new Random(4);
  for (let i = 0; i < 2000; i++) {
    const a = ticksOf(1.7e12 + random.below(100_000));
    const b = ticksOf(1.7e12 + random.below(100_000));
    assert.equal(isLater(timestamp(a), 0, timestamp(b), 0), a > b);
  }
});

Deno.test("the next tick is later and still a valid time", () => {
  let ticks = ticksOf(1.7e12);
  for (let i = 0; i < 200; i++) {
    const next = nextTicks(ticks);
    assert.ok(isLater(timestamp(next), 0, timestamp(ticks), 0));
    const nanoseconds = new DataView(timestamp(next).buffer).getUint32(8);
    assert.ok(nanoseconds < 1e9);
    ticks = next;
  }
});

Deno.test("every byte counts in the comparison", () => {
  const a = timestamp(ticksOf(1.7e12));
  assert.ok(!isLater(a, 0, a, 0));
  for (let at = 0; at < 12; at++) {
    const b = a.slice();
    b[at]++;
    assert.ok(isLater(b, 0, a, 0));
    assert.ok(!isLater(a, 0, b, 0));
  }
});
