import assert from "node:assert/strict";
import { Batch } from "../../../src/core/columns/batch.ts";
import { HeldPackets, SHORT } from "../../../src/core/flow/held_packets.ts";

const OPTIONS = { flows: 8, short: 4, long: 1, perFlow: 3 };

function batch(spare = 300_000): Batch {
  return new Batch({
    bytes: new Uint8Array(spare),
    capacity: 16,
    spareStart: 0,
    spareEnd: spare,
    headroom: 64,
    tailroom: 0,
  });
}

function add(
  held: HeldPackets,
  flow: number,
  mark: number,
  length = 3,
  now = 0,
) {
  const packet = new Uint8Array(length).fill(mark);
  return held.add(flow, 9, packet, 0, length, now);
}

/** Marks of what is ready, by flow. */
function taken(held: HeldPackets, into = batch()): string[] {
  const found: string[] = [];
  for (;;) {
    const row = held.next(into, 0);
    if (row < 0) return found;
    const at = into.offset[row];
    found.push(`${held.flow}/${held.generation}: ${into.bytes[at]}`);
  }
}

Deno.test("packets come out in their flow's order, when it is decided and not before", () => {
  const held = new HeldPackets(OPTIONS);
  assert.ok(add(held, 1, 11) && add(held, 2, 21) && add(held, 1, 12));
  assert.deepEqual(taken(held), []);
  held.release(1);
  held.release(1);
  assert.ok(add(held, 1, 13));
  assert.deepEqual(taken(held), ["1/9: 11", "1/9: 12"]);
  held.release(2);
  held.release(1);
  assert.deepEqual(taken(held), ["2/9: 21", "1/9: 13"]);
  assert.deepEqual([held.size, held.isReady], [0, false]);
});

Deno.test("so many of a flow, so many in all, so many long ones", () => {
  const held = new HeldPackets(OPTIONS);
  for (const mark of [1, 2, 3]) assert.ok(add(held, 0, mark));
  assert.equal(add(held, 0, 4), false);
  assert.ok(add(held, 1, 5));
  assert.equal(add(held, 2, 6), false);
  assert.ok(add(held, 2, 7, SHORT + 1));
  assert.equal(add(held, 3, 8, 65_535), false);
  assert.equal(held.forget(0), 3);
  assert.equal(held.forget(0), 0);
  assert.ok(add(held, 3, 9, SHORT));
  held.release(2);
  assert.deepEqual(taken(held), ["2/9: 7"]);
});

Deno.test("what a batch has no room for stays ready", () => {
  const held = new HeldPackets(OPTIONS);
  assert.ok(add(held, 0, 1, 900) && add(held, 0, 2, 900));
  held.release(0);
  assert.deepEqual(taken(held, batch(1200)), ["0/9: 1"]);
  assert.ok(held.isReady);
  assert.deepEqual(taken(held, batch(1200)), ["0/9: 2"]);
});

Deno.test("a flow that waits for too long is told, one that is decided is not", () => {
  const held = new HeldPackets(OPTIONS);
  assert.ok(add(held, 0, 1, 3, 100) && add(held, 1, 2, 3, 200));
  assert.equal(held.overdue(100), -1);
  assert.equal(held.overdue(101), 0);
  held.release(0);
  assert.equal(held.overdue(201), 1);
  held.forget(1);
  assert.equal(held.overdue(1e9), -1);
});
