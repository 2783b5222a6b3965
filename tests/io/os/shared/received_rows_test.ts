import assert from "node:assert/strict";
import { Batch } from "../../../../src/core/columns/batch.ts";
import {
  pushReceived,
  pushTrain,
  rowLimit,
} from "../../../../src/io/os/shared/received_rows.ts";

const REMOTE = Int32Array.of(0, 0, 0xffff, 0x0a000001);
const V6 = Int32Array.of(0x20010db8, 1, 2, 3);

function emptyBatch(capacity: number): Batch {
  const bytes = new Uint8Array(64);
  const sizes = { spareStart: 0, spareEnd: 64, headroom: 0, tailroom: 0 };
  return new Batch({ bytes, capacity, ...sizes });
}

/** Each row as [offset, length]. */
const places = ({ count, offset, length }: Batch) =>
  Array.from({ length: count }, (_, row) => [offset[row], length[row]]);

Deno.test("a row has its remote, and none comes to a full batch", () => {
  const batch = emptyBatch(2);
  assert.equal(pushReceived(batch, 100, 20, REMOTE, 9), 0);
  assert.equal(pushReceived(batch, 200, 30, V6, 65_535), 1);
  assert.equal(pushReceived(batch, 300, 40, REMOTE, 10), -1);
  assert.deepEqual(places(batch), [[100, 20], [200, 30]]);
  assert.deepEqual([...batch.remote], [...REMOTE, ...V6]);
  assert.deepEqual([...batch.remotePort], [9, 65_535]);
  assert.deepEqual([...batch.peer], [-1, -1]);
});

for (
  const { length, segment, rows } of [
    { length: 0, segment: 0, rows: [[64, 0]] },
    { length: 10, segment: 10, rows: [[64, 10]] },
    { length: 10, segment: 100, rows: [[64, 10]] },
    { length: 20, segment: 10, rows: [[64, 10], [74, 10]] },
    { length: 21, segment: 10, rows: [[64, 10], [74, 10], [84, 1]] },
  ]
) {
  Deno.test(`a train of ${length} bytes, ${segment} each, is ${rows.length} rows`, () => {
    const batch = emptyBatch(8);
    pushTrain(batch, 64, length, segment, V6, 7);
    assert.deepEqual(places(batch), rows);
    for (let row = 0; row < batch.count; row++) {
      assert.deepEqual([...batch.remote.subarray(row * 4, row * 4 + 4)], [
        ...V6,
      ]);
      assert.equal(batch.remotePort[row], 7);
    }
  });
}

Deno.test("what of a train finds no row is left out; an eighth is not for receiving", () => {
  const batch = emptyBatch(16);
  assert.equal(rowLimit(batch), 14);
  pushTrain(batch, 0, 100, 1, REMOTE, 7);
  assert.equal(batch.count, 16);
  assert.equal(batch.offset[15], 15);
});
