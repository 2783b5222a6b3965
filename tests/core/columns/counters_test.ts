import assert from "node:assert/strict";
import { sharedBuffer } from "../../../src/core/columns/columns.ts";
import {
  Counters,
  Direction,
  sumCounters,
} from "../../../src/core/columns/counters.ts";
import {
  DROP_REASON_COUNT,
  DropReason,
} from "../../../src/core/columns/drop_reason.ts";

Deno.test("each direction and each reason has a place of its own", () => {
  const counters = new Counters(new ArrayBuffer(Counters.byteLength));
  for (const direction of Object.values(Direction)) {
    counters.add(direction, direction + 1, (direction + 1) * 1000);
  }
  for (let reason = 0; reason < DROP_REASON_COUNT; reason++) {
    counters.drop(reason, reason + 100);
  }
  for (const direction of Object.values(Direction)) {
    assert.equal(counters.packets(direction), direction + 1);
    assert.equal(counters.bytes(direction), (direction + 1) * 1000);
  }
  for (let reason = 0; reason < DROP_REASON_COUNT; reason++) {
    assert.equal(counters.drops(reason), reason + 100);
  }
});

Deno.test("a snapshot names what was dropped and leaves out what wasn't", () => {
  const counters = new Counters(sharedBuffer(Counters.byteLength));
  counters.add(Direction.ToTunnel, 2, 3000);
  counters.drop(DropReason.BadChecksum);
  counters.drop(DropReason.BadChecksum, 4);
  const snapshot = counters.snapshot();
  assert.deepEqual(snapshot.traffic.ToTunnel, { packets: 2, bytes: 3000 });
  assert.deepEqual(snapshot.traffic.FromTunnel, { packets: 0, bytes: 0 });
  assert.deepEqual(snapshot.drops, { "bad checksum": 5 });
  counters.drop(DropReason.BadChecksum);
  assert.deepEqual(snapshot.drops, { "bad checksum": 5 }, "is a copy");
});

Deno.test("what one writer counts, another reader of the buffer sees", () => {
  const buffer = sharedBuffer(Counters.byteLength);
  const writer = new Counters(buffer);
  const reader = new Counters(buffer);
  writer.add(Direction.FromHost, 1, 2 ** 40);
  assert.equal(reader.bytes(Direction.FromHost), 2 ** 40);
});

Deno.test("several writers add up", () => {
  const all = [1, 2, 3].map((n) => {
    const counters = new Counters(new ArrayBuffer(Counters.byteLength));
    counters.add(Direction.ToHost, n, n * 10);
    counters.drop(DropReason.Replayed, n);
    return counters;
  });
  const total = sumCounters(all);
  assert.deepEqual(total.traffic.ToHost, { packets: 6, bytes: 60 });
  assert.deepEqual(total.drops, { "replayed or too old": 6 });
});
